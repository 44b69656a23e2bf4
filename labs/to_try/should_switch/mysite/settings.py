"""Pages that wait for many slow services, and a server that has few threads. What waits is asyncio.sleep."""

SECRET_KEY = "of a project for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
DATABASES: dict = {}
INSTALLED_APPS: list = []
MIDDLEWARE: list = []
WSGI_APPLICATION = "mysite.wsgi.application"
ASGI_APPLICATION = "mysite.asgi.application"
