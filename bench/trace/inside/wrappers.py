"""Around an application: each request that passes is collected, and handed over when it has ended.

The answer stays as it is. With `says_timing` a `Server-Timing` header tells the browser's network panel what is known
when the answer begins.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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

    def _end(self, collector: Collector) -> None:
        collector.finish()
        self.on_end(collector)


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

        try:
            with _working_for(collector):
                await self.application(scope, receive, noted)
        finally:
            self._end(collector)

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

        with ExitStack() as ending, _working_for(collector):
            ending.callback(self._end, collector)
            parts = Parts(collector, self.application(environ, noted))
            parts.ending = ending.pop_all()  # from here on it is the server that ends the request
        return parts


class Parts:
    """What a WSGI application answered, taken and closed by the server as it would be without us.

    `ending` is closed behind the answer, whatever its own `close` raises.
    """

    ending: ExitStack

    def __init__(self, collector: Collector, answer: Any) -> None:
        self.collector, self.answer, self.parts = collector, answer, iter(answer)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with _working_for(self.collector):
            part: bytes = next(self.parts)
        self.collector.answers(part)
        return part

    def __len__(self) -> int:
        """Where the answer has a length, servers may send it as that of the body."""
        return len(self.answer)

    def close(self) -> None:
        """Close what the application returned, and hand the collected request over."""
        with self.ending, _working_for(self.collector):
            if hasattr(self.answer, "close"):
                self.answer.close()


@contextmanager
def _working_for(collector: Collector) -> Iterator[None]:
    """Let what runs inside know its request, and note what it raises."""
    REQUEST.set(collector)
    try:
        yield
    except StopIteration:  # the end of an answer
        raise
    except BaseException as error:
        collector.error = error
        raise
    finally:
        REQUEST.set(None)


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
    """`hops;desc="13 hops to a thread", handoff;dur=1.2, queued;dur=0, thread-work;dur=0.4`: milliseconds, so far.

    Source: https://www.w3.org/TR/server-timing/
    """
    trace = collector.trace()
    return (
        f'hops;desc="{hops_text(trace.hop_counts)}", handoff;dur={trace.handed_off_us / 1000:.3f}, '
        f"queued;dur={trace.queued_us / 1000:.3f}, thread-work;dur={trace.worked_in_hops_us / 1000:.3f}"
    )
