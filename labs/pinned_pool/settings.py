"""The settings of async_asgi, and the size of the pool: LAB_POOL_THREADS, or 16."""

import os

from labs.async_asgi.settings import *  # noqa: F403

POOL_THREADS = int(os.environ.get("LAB_POOL_THREADS", "16"))
