"""Around an application: each request that passes is collected, and handed over when it has ended.

The answer stays as it is. With `says_timing` a `Server-Timing` header tells the browser's network panel what is known
when the answer begins.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .collector import Collector
from .model import hops_text
from .sink import REQUEST

Notice = Callable[[Collector], None]
SWITCHING_PROTOCOLS = 101


def _ignore(collector: Collector) -> None:
    """Do nothing."""


@dataclass(eq=False)  # hashable, as applications are
class _Traced:
    """An application, and what is called with each request's Collector when it has ended and when it begins."""

    application: Any
    on_end: Notice = _ignore
    on_begin: Notice = _ignore
    says_timing: bool = False


class TracedASGI(_Traced):
    """An ASGI application whose HTTP requests and WebSockets are collected; other scopes pass as they are."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one scope, and collect it if it is a request or a WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self.application(scope, receive, send)
            return
        collector = Collector("asgi", scope.get("method", "WEBSOCKET"), path_in(scope))
        self.on_begin(collector)

        async def noted(message: Any) -> None:
            await send(self._note(collector, message))

        with _collecting(collector, self.on_end):
            await self.application(scope, receive, noted)

    def _note(self, collector: Collector, message: Any) -> Any:
        """Note what is sent; the message, with our header where it begins an answer."""
        kind = message.get("type")
        if kind == "http.response.start" and "status" in message:
            headers = list(message.get("headers") or ())
            collector.answering(message["status"], headers)
            if self.says_timing:
                return {**message, "headers": [*headers, (b"server-timing", server_timing(collector).encode())]}
        elif kind == "websocket.accept":
            collector.answering(SWITCHING_PROTOCOLS)
        else:
            collector.answers(message.get("body") or b"")
        return message


class TracedWSGI(_Traced):
    """A WSGI application whose requests are collected until the server closes what it answered."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Serve one request, and return its body as Parts."""
        collector = Collector("wsgi", environ["REQUEST_METHOD"], path_of(environ))
        self.on_begin(collector)

        def noted(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            collector.answering(status, headers)
            timing = [("Server-Timing", server_timing(collector))] if self.says_timing else []
            return start_response(status, [*headers, *timing], *more)

        parts = Parts(collector, self.on_end)
        with parts.step():
            parts.begin(self.application(environ, noted))
        return parts


class Parts:
    """What a WSGI application answered, taken and closed by the server as it would be without us."""

    def __init__(self, collector: Collector, on_end: Notice) -> None:
        self.collector, self.on_end = collector, on_end

    def begin(self, answer: Any) -> None:
        """Take what the application returned, to iterate over it."""
        self.answer, self.parts = answer, iter(answer)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self.step():
            part: bytes = next(self.parts)
        self.collector.answers(part)
        return part

    def __len__(self) -> int:
        """Where the answer has a length, servers may send it as that of the body."""
        return len(self.answer)

    def close(self) -> None:
        """Close what the application returned, and hand the collected request over."""
        with _collecting(self.collector, self.on_end):
            if hasattr(self.answer, "close"):
                self.answer.close()

    @contextmanager
    def step(self) -> Iterator[None]:
        """One call of the application's; where it raises, the request is over, though the server still closes it."""
        REQUEST.set(self.collector)
        try:
            yield
        except StopIteration:
            raise
        except BaseException as error:
            self.collector.error = error
            if not hasattr(self, "answer"):  # then the server has nothing to close
                self.collector.finish()
                self.on_end(self.collector)
            raise
        finally:
            REQUEST.set(None)


@contextmanager
def _collecting(collector: Collector, on_end: Notice) -> Iterator[None]:
    """The last of a request: what it raises is noted, and the collector is handed over."""
    REQUEST.set(collector)
    try:
        yield
    except BaseException as error:
        collector.error = error
        raise
    finally:
        REQUEST.set(None)
        collector.finish()
        on_end(collector)


def path_in(scope: Any) -> str:
    """Path and query of an ASGI scope, as text."""
    query = scope.get("query_string", b"").decode("latin-1")
    return str(scope["path"]) + (f"?{query}" if query else "")


def path_of(environ: Any) -> str:
    """Path and query of a WSGI environment, as text: PATH_INFO holds UTF-8 bytes read as latin-1 (PEP 3333)."""
    query = environ.get("QUERY_STRING")
    path = environ.get("PATH_INFO", "/").encode("latin-1", "replace").decode("utf-8", "replace")
    return path + (f"?{query}" if query else "")


def server_timing(collector: Collector) -> str:
    """`hops;desc="13 sync_to_async", handoff;dur=1.2, queued;dur=0, thread-work;dur=0.4`: milliseconds, so far.

    Source: https://www.w3.org/TR/server-timing/
    """
    trace = collector.trace()
    return (
        f'hops;desc="{hops_text(trace.hop_counts)}", handoff;dur={trace.handed_off_us / 1000:.3f}, '
        f"queued;dur={trace.queued_us / 1000:.3f}, thread-work;dur={trace.worked_in_hops_us / 1000:.3f}"
    )
