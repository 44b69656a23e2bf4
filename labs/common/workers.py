"""uvicorn under gunicorn, with the loop and the HTTP parser named instead of guessed."""

from typing import Any

from uvicorn_worker import UvicornWorker


class PinnedUvicornWorker(UvicornWorker):
    """`gunicorn --worker-class labs.common.workers.PinnedUvicornWorker`: uvloop and httptools, no lifespan."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "off",
    }


class LiveUvicornWorker(PinnedUvicornWorker):
    """The same with WebSockets and lifespan, for applications that need them."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012
        **PinnedUvicornWorker.CONFIG_KWARGS,
        "ws": "websockets-sansio",
        "lifespan": "on",
    }
