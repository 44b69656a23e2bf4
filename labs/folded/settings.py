"""The settings of async_asgi; a sync-only middleware innermost, so all middlewares share one crossing."""

import os

os.environ.setdefault("LAB_MIDDLEWARE", "startproject,sync_only")

from labs.async_asgi.settings import *  # noqa: F403
