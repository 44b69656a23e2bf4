"""The settings of async_asgi, with Django's middlewares replaced by their hop-free versions."""

from labs.async_asgi.settings import *  # noqa: F403
from labs.async_asgi.settings import MIDDLEWARE as STOCK
from labs.common.middleware import STARTPROJECT

HOP_FREE = ("Security", "Session", "Common", "Csrf", "Authentication", "Message", "XFrameOptions")
IN_PLACE_OF = {theirs: f"labs.zero_hop.middleware.{ours}" for theirs, ours in zip(STARTPROJECT, HOP_FREE, strict=True)}
MIDDLEWARE = [IN_PLACE_OF.get(path, path) for path in STOCK]
