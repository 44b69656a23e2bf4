"""The settings that all labs share, with Channels and its layer (Redis, or memory without one)."""

import os
from logging import LogRecord
from pathlib import Path
from typing import Any, cast

from labs.common.redis_news import REDIS_URL, TIMEOUTS
from labs.common.settings import *  # noqa: F403
from labs.common.settings import INSTALLED_APPS as COMMON_APPS
from labs.common.settings import LOGGING as COMMON_LOGGING

ROOT_URLCONF = "labs.channels_live.urls"
ASGI_APPLICATION = "labs.channels_live.asgi.application"  # for daphne's runserver
LABS = Path(__file__).parents[1]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [LABS / "channels_live" / "templates", LABS / "common" / "templates"],
    }
]
# First, so that its `runserver` command is found before Django's.
INSTALLED_APPS = [*(["daphne"] if os.environ.get("LAB_RUNSERVER") == "daphne" else []), *COMMON_APPS]

IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
# The pub/sub layer and not the one of lists: there each socket blocks in Redis, and dies when Redis does.
IN_REDIS = {
    "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
    "CONFIG": {"hosts": [{"address": REDIS_URL, **TIMEOUTS}], "prefix": "lab.chat"},
}
CHANNEL_LAYERS = {"default": IN_REDIS if REDIS_URL else IN_MEMORY}


def is_news(record: LogRecord) -> bool:
    """False for the trace that the layer writes each second while Redis is away: background.py says it in a line."""
    from redis.exceptions import RedisError

    return not (record.exc_info and isinstance(record.exc_info[1], RedisError))


COMMON_LOGGERS = cast("dict[str, Any]", COMMON_LOGGING["loggers"])
LOGGING = COMMON_LOGGING | {
    "filters": {"is_news": {"()": "django.utils.log.CallbackFilter", "callback": is_news}},
    "loggers": COMMON_LOGGERS | {"channels_redis.pubsub": {"filters": ["is_news"]}},
}
