"""The slow service that views call: the bare ASGI callable once more; it holds many waits in one thread."""

from labs.bare.asgi import application

__all__ = ["application"]
