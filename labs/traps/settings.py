"""The settings that all labs share, with sessions, a cache in the database, and what single traps need."""

from pathlib import Path

from labs.common.middleware import apps_needed_by, middleware_from_names
from labs.common.settings import *  # noqa: F403
from labs.common.settings import DATABASES, TEMPLATES

ROOT_URLCONF = "labs.traps.urls"
TEMPLATES[0]["DIRS"].insert(0, Path(__file__).parent / "templates")

# Sessions and users for `request_user_in_async_view`; the last two know their own views and leave all others alone.
MIDDLEWARE = [
    *middleware_from_names("session,authentication"),
    "labs.traps.context_token_across_hop.VisitorMiddleware",
    "labs.traps.context_token_across_hop.VisitorMiddlewareInstead",
]
INSTALLED_APPS = [*apps_needed_by(MIDDLEWARE), "labs.common.shop"]

# The same database twice: `kept` is what `conn_max_age_leak` is about.
DATABASES["kept"] = {**DATABASES["default"], "CONN_MAX_AGE": 600}
DATABASES["default"]["CONN_MAX_AGE"] = 0
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "db": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cache_table"},
}
