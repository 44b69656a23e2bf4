"""The settings of async_asgi under three middlewares: sync only, both, async only."""

import os

os.environ.setdefault("LAB_MIDDLEWARE", "sync_only,both,async_only")

from labs.async_asgi.settings import *  # noqa: F403
