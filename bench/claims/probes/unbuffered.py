"""labs/async_asgi as it is, but a stream that is asked for with `unbuffered` tells nginx not to hold it back.

https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
"""

from typing import Any

from labs.async_asgi.asgi import application as lab

HEADER = (b"x-accel-buffering", b"no")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve the lab; add the header to answers whose query has `unbuffered`."""

    async def send_with_header(message: Any) -> None:
        if message["type"] == "http.response.start" and b"unbuffered" in scope["query_string"]:
            message = {**message, "headers": [*message["headers"], HEADER]}
        await send(message)

    await lab(scope, receive, send_with_header)
