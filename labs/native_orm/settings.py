"""The settings that all labs share, with a database engine that has async connections beside the sync ones.

The package closes async connections by Django's signals `request_started` and `request_finished`.
"""

from labs.common.settings import *  # noqa: F403
from labs.common.settings import DATABASES, INSTALLED_APPS

ROOT_URLCONF = "labs.native_orm.urls"
DATABASES["default"]["ENGINE"] = "django_async_backend.db.backends.postgresql"
INSTALLED_APPS = [*INSTALLED_APPS, "django_async_backend"]
