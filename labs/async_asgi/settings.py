"""The settings that all labs share, with this lab's URLs."""

from labs.common.settings import *  # noqa: F403

ROOT_URLCONF = "labs.async_asgi.urls"
