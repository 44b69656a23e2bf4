"""The settings that all labs share, with a database engine that has async connections beside the sync ones."""

from labs.common.settings import *  # noqa: F403
from labs.common.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE

ROOT_URLCONF = "labs.native_orm.urls"
DATABASES["default"]["ENGINE"] = "django_async_backend.db.backends.postgresql"
INSTALLED_APPS = [*INSTALLED_APPS, "django_async_backend"]
# Django closes or returns sync connections by a signal; async ones need this, around all of a request.
MIDDLEWARE = ["django_async_backend.middleware.close_async_connections", *MIDDLEWARE]
