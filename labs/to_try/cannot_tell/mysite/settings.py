"""Pages that answer without success: a login wall, a throttle that answers 429, and one that says so with 200."""

SECRET_KEY = "of a project for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
DATABASES: dict = {}
INSTALLED_APPS: list = []
MIDDLEWARE: list = []
WSGI_APPLICATION = "mysite.wsgi.application"
ASGI_APPLICATION = "mysite.asgi.application"
