import os

os.environ.setdefault("LAB_MIDDLEWARE", "startproject,sync_only")

from labs.async_asgi.settings import *  # noqa: F403
