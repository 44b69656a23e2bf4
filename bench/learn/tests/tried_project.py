"""Somebody's Django project as `startproject` makes one, with what a test adds, for tests of `lab try`."""

from __future__ import annotations

import textwrap
from pathlib import Path

SECRET = "a-secret-that-nobody-may-see"
FILES = {
    "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n',
    "mysite/wsgi.py": """
        import os
        from django.core.wsgi import get_wsgi_application
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
        application = get_wsgi_application()
    """,
    "mysite/asgi.py": """
        import os
        from django.core.asgi import get_asgi_application
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
        application = get_asgi_application()
    """,
    "mysite/settings.py": f"""
        from pathlib import Path
        BASE_DIR = Path(__file__).parents[1]
        SECRET_KEY = "{SECRET}"
        DEBUG = True
        ROOT_URLCONF = "mysite.urls"
        MIDDLEWARE = []
        INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
        DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}}}
    """,
    "mysite/urls.py": """
        from django.http import HttpResponse
        from django.urls import path
        urlpatterns = [path("", lambda request: HttpResponse("hello"))]
    """,
}


def write_project(folder: Path, *, settings: str = "", **files: str) -> Path:
    """Write it. `settings`: lines after its own; `files`: others, `mysite__urls` for mysite/urls.py, in packages."""
    named = {f"{name.replace('__', '/')}.py": text for name, text in files.items()}
    for name, text in {**FILES, **named}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        if file.parent != folder:
            (file.parent / "__init__.py").touch()
    own = folder / "mysite/settings.py"
    own.write_text(own.read_text() + textwrap.dedent(settings))
    return folder
