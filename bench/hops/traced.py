"""Around an application: each request that passes is collected, and handed over when it has ended.

With `says_timing` a `Server-Timing` header tells the browser's network panel what is known when the answer begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.hops.collect import Collector
from bench.hops.layers import Layers
from bench.hops.observe import REQUEST
from bench.hops.trace import hops_text

OnEnd = Callable[[Collector], None]


class TracedASGI:
    """An ASGI application whose HTTP requests are collected; other scopes pass as they are."""

    def __init__(self, application: Any, on_end: OnEnd, *, says_timing: bool = False) -> None:
        self.application, self.on_end, self.says_timing = application, on_end, says_timing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        collector = Collector("asgi", scope["method"], path_in(scope))

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                collector.answering(message["status"])
                if self.says_timing:
                    told = (b"Server-Timing", server_timing(collector).encode())
                    message = {**message, "headers": [*message.get("headers", ()), told]}
            elif message.get("body"):
                collector.first_byte()
            await send(message)

        REQUEST.set(collector)
        try:
            await self.application(scope, receive, noted)
        except BaseException as error:
            collector.error = error
            raise
        finally:
            REQUEST.set(None)
            collector.finish()
            self.on_end(collector)


class TracedWSGI:
    """A WSGI application whose requests are collected until their last part has been taken."""

    def __init__(self, application: Any, on_end: OnEnd, *, says_timing: bool = False) -> None:
        self.application, self.on_end, self.says_timing = application, on_end, says_timing

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING")
        path = environ.get("PATH_INFO", "/") + (f"?{query}" if query else "")
        collector = Collector("wsgi", environ["REQUEST_METHOD"], path)

        def noted(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            collector.answering(int(status.split()[0]))
            told = [("Server-Timing", server_timing(collector))] if self.says_timing else []
            return start_response(status, [*headers, *told], *more)

        return self._parts(collector, environ, noted)

    def _parts(self, collector: Collector, environ: Any, start_response: Any) -> Iterator[bytes]:
        parts: Any = None
        REQUEST.set(collector)
        try:
            parts = self.application(environ, start_response)
            for part in parts:
                if part:
                    collector.first_byte()
                yield part
        except Exception as error:
            collector.error = error
            raise
        finally:
            if hasattr(parts, "close"):
                parts.close()
            REQUEST.set(None)
            collector.finish()
            self.on_end(collector)


def path_in(scope: Any) -> str:
    query = scope.get("query_string", b"").decode("latin1")
    return str(scope["path"]) + (f"?{query}" if query else "")


def server_timing(collector: Collector) -> str:
    """`hops;desc="13 sync_to_async", handoff;dur=1.2, thread-work;dur=0.4`: durations in milliseconds, so far.

    Source: https://www.w3.org/TR/server-timing/
    """
    trace = collector.trace("", Layers(), "")
    return (
        f'hops;desc="{hops_text(trace.hops)}", handoff;dur={trace.handed_off_us / 1000:.3f}, '
        f"thread-work;dur={trace.worked_in_hops_us / 1000:.3f}"
    )
