"""The settings of every Django lab. A lab adds its ROOT_URLCONF and nothing else."""

import os
from pathlib import Path
from typing import Any

from django.core.management.utils import get_random_secret_key

from labs.common.database import database
from labs.common.middleware import apps_needed_by, middleware_from_names

DEBUG = False
SECRET_KEY = os.environ.get("LAB_SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", *filter(None, [os.environ.get("LAB_ALLOWED_HOST")])]
USE_TZ = True

MIDDLEWARE = middleware_from_names(os.environ.get("LAB_MIDDLEWARE", ""))
INSTALLED_APPS = [*apps_needed_by(MIDDLEWARE), "labs.common.shop"]

DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# For the pages only. No context processors: Django adds the CSRF token by itself.
TEMPLATES: list[dict[str, Any]] = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [Path(__file__).parent / "templates"]}
]

# With DEBUG off, Django mails errors and prints nothing: here a 500 leaves its trace in the server's log.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["stderr"], "level": "ERROR"}},
}
