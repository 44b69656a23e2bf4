"""The settings that all labs share, with packages that many projects have. LAB_AROUND names their middlewares."""

import os

from labs.common.middleware import STARTPROJECT, STARTPROJECT_APPS
from labs.common.settings import *  # noqa: F403

ROOT_URLCONF = "labs.around.urls"
CHOSEN = [name for name in os.environ.get("LAB_AROUND", "").split(",") if name]
INSTALLED_APPS = [
    *STARTPROJECT_APPS,
    *("django.contrib.staticfiles", "debug_toolbar", "rest_framework"),
    *(("allauth", "allauth.account") if "allauth" in CHOSEN else ()),  # it refuses to be there without its middleware
]
MIDDLEWARES = {
    "startproject": STARTPROJECT,
    "whitenoise": ["whitenoise.middleware.WhiteNoiseMiddleware"],
    "allauth": ["allauth.account.middleware.AccountMiddleware"],
    "toolbar": ["debug_toolbar.middleware.DebugToolbarMiddleware"],
}
MIDDLEWARE = [path for name in CHOSEN for path in MIDDLEWARES[name]]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
STATIC_URL, STATIC_ROOT = "/static/", os.environ.get("LAB_AROUND_STATIC") or None
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
REST_FRAMEWORK: dict[str, object] = {"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None}
DEBUG_TOOLBAR_CONFIG = {"SHOW_TOOLBAR_CALLBACK": "labs.around.views.always", "IS_RUNNING_TESTS": False}
