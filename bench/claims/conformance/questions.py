"""The one list of questions: what people rely on in a server, who says so, and the function that asks."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.claims.conformance import flows, lives, messages
from bench.claims.conformance.answers import Answer, Word
from bench.claims.conformance.subject import Subject
from bench.model.servers import Interface

BOTH: tuple[Interface, ...] = ("wsgi", "asgi")
ASGI_ONLY: tuple[Interface, ...] = ("asgi",)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question; `asks` is a sentence that is true of a server whose answer is yes.

    `source`: the text that people rely on. `interfaces`: to the others it does not apply.
    `proved_by`: the answer that an event proves. The other one only says that the event did not come, so it is
    asked again before it counts. `ends_server`: it needs a server of its own, which it may end.
    """

    name: str
    asks: str
    source: str
    ask: Callable[[Subject], Answer]
    interfaces: tuple[Interface, ...] = BOTH
    proved_by: Word = "yes"
    ends_server: bool = False


QUESTIONS = (
    Question(
        name="cancelled_view",
        asks="A client that leaves cancels an async view of Django.",
        source="ASGI, HTTP: Disconnect; Django, Asynchronous support: Handling disconnects",
        ask=flows.cancelled_view,
    ),
    Question(
        name="finished_signal",
        asks="`request_finished` fires after a client has left.",
        source="Django, Signals: request_finished; PEP 3333, `close()` of the iterable",
        ask=flows.finished_signal,
    ),
    Question(
        name="streamed_answer",
        asks="A stream leaves part by part.",
        source="PEP 3333, Buffering and Streaming; ASGI, HTTP: Response Body",
        ask=flows.streamed_answer,
    ),
    Question(
        name="streamed_upload",
        asks="An upload arrives part by part.",
        source="PEP 3333, Input and Error Streams; ASGI, HTTP: Request, `more_body`",
        ask=flows.streamed_upload,
    ),
    Question(
        name="bounded_upload",
        asks="An upload that nobody reads does not fill the memory.",
        source="ASGI, HTTP: Request; RFC 9293, section 3.8.6 (window)",
        ask=flows.bounded_upload,
        proved_by="no",
    ),
    Question(
        name="slow_reader",
        asks="A slow reader holds back the writer.",
        source="PEP 3333, Buffering and Streaming; ASGI, HTTP: Response Body (`send` waits)",
        ask=flows.slow_reader,
        proved_by="no",
    ),
    Question(
        name="head",
        asks="An answer to HEAD has no content.",
        source="RFC 9110, section 9.3.2",
        ask=messages.head,
    ),
    Question(
        name="expect_continue",
        asks="100 Continue is sent to a client that waits for it.",
        source="RFC 9110, section 10.1.1",
        ask=messages.expect_continue,
    ),
    Question(
        name="chunked_request",
        asks="A body in chunks reaches the application.",
        source="RFC 9112, section 7.1",
        ask=messages.chunked_request,
    ),
    Question(
        name="chunked_request_of_django",
        asks="A body in chunks reaches a view of Django.",
        source="RFC 9112, section 7.1; PEP 3333, which knows no body without `CONTENT_LENGTH`",
        ask=messages.chunked_request_of_django,
    ),
    Question(
        name="pipelining",
        asks="Two requests that are sent at once are answered in their order.",
        source="RFC 9112, section 9.3.2",
        ask=messages.pipelining,
    ),
    Question(
        name="both_lengths",
        asks="`Content-Length` beside `Transfer-Encoding` is refused, or is read in chunks and ends the connection.",
        source="RFC 9112, sections 6.1 and 6.3",
        ask=messages.both_lengths,
    ),
    Question(
        name="bare_lf",
        asks="A request whose lines end in a bare LF is refused.",
        source="RFC 9112, section 2.2, which lets a server accept it",
        ask=messages.bare_lf,
    ),
    Question(
        name="head_limit",
        asks="A field of 1 MiB is refused.",
        source="RFC 9110, section 5.4; RFC 6585, section 5",
        ask=messages.head_limit,
    ),
    Question(
        name="field_limit",
        asks="A head of 5,000 fields is refused.",
        source="RFC 9110, section 5.4; RFC 6585, section 5",
        ask=messages.field_limit,
    ),
    Question(
        name="keep_alive",
        asks="A connection is kept for the next request.",
        source="RFC 9112, section 9.3",
        ask=messages.keep_alive,
    ),
    Question(
        name="connection_close",
        asks="`Connection: close` ends the connection with the answer.",
        source="RFC 9112, section 9.6",
        ask=messages.connection_close,
    ),
    Question(
        name="idle_end",
        asks="An idle connection is ended after the keep-alive that was set.",
        source="RFC 9112, section 9.5",
        ask=messages.idle_end,
    ),
    Question(
        name="proxied_client",
        asks="Behind a proxy on this machine the application sees the client's address.",
        source="X-Forwarded-For as proxies send it; compare RFC 7239, section 5.2",
        ask=messages.proxied_client,
    ),
    Question(
        name="websocket",
        asks="A WebSocket opens and carries texts.",
        source="RFC 6455, sections 4.2 and 5; ASGI, WebSocket",
        ask=messages.websocket,
        interfaces=ASGI_ONLY,
    ),
    Question(
        name="lifespan_state",
        asks="A request has the state that was made at the start.",
        source="ASGI, Lifespan: Lifespan State",
        ask=lives.lifespan_state,
        interfaces=ASGI_ONLY,
    ),
    Question(
        name="lifespan",
        asks="The application is told of start and end.",
        source="ASGI, Lifespan: Startup and Shutdown",
        ask=lives.lifespan,
        interfaces=ASGI_ONLY,
        ends_server=True,
    ),
    Question(
        name="sigterm",
        asks="A request in flight is answered after SIGTERM.",
        source="what deployments rely on: the server's own graceful stop",
        ask=lives.sigterm,
        ends_server=True,
    ),
    Question(
        name="killed_worker",
        asks="A killed worker is replaced.",
        source="what deployments rely on: the server's own process manager",
        ask=lives.killed_worker,
        ends_server=True,
    ),
)
