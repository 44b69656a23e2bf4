"""A project as `startproject` makes it, admin and static files included, in one file: served by anything.

python -m bench.claims.probes.admin_project runserver
"""

import sys

from django.conf import settings
from django.core.management.utils import get_random_secret_key

from labs.common.middleware import STARTPROJECT, STARTPROJECT_APPS

CONTEXT = ("template.context_processors.request", "contrib.auth.context_processors.auth")
MESSAGES = "contrib.messages.context_processors.messages"

if not settings.configured:  # imported a second time by its own name, as ROOT_URLCONF
    settings.configure(
        DEBUG=True,
        SECRET_KEY=get_random_secret_key(),
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        ROOT_URLCONF="bench.claims.probes.admin_project",
        INSTALLED_APPS=["django.contrib.admin", *STARTPROJECT_APPS, "django.contrib.staticfiles"],
        MIDDLEWARE=STARTPROJECT,
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": [f"django.{name}" for name in (*CONTEXT, MESSAGES)]},
            }
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        STATIC_URL="static/",
    )

from django.core.asgi import get_asgi_application  # noqa: E402

application = get_asgi_application()

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: E402

with_static_files = ASGIStaticFilesHandler(application)

from django.contrib import admin  # noqa: E402
from django.urls import path  # noqa: E402

from labs.common.urls import ready  # noqa: E402

urlpatterns = [path("admin/", admin.site.urls), path("ready", ready)]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
