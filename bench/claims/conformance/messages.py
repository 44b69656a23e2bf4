"""Questions about single messages of HTTP/1.1 and their limits; each takes a Subject and returns an Answer."""

from collections.abc import Callable, Sequence

from bench.claims.conformance import waits
from bench.claims.conformance.answers import Answer, answer
from bench.claims.conformance.client import END_OF_HEAD, connected, request
from bench.claims.conformance.subject import SHORT_KEEP_ALIVE_S, Subject

HELLO, CHUNKED_HELLO = b"hello world", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
CLOSE, CHUNKED = "Connection: close", "Transfer-Encoding: chunked"
ECHO, FIRST, SECOND = "/echo?key=one", "/echo?key=first", "/echo?key=second"
HEADS_KIB, FIELDS = (4, 8, 16, 32, 64, 128, 256, 1024), (50, 100, 200, 500, 1000, 5000)
PROXIED = "203.0.113.7"  # RFC 5737: an address for documentation
MASK = b"\x01\x02\x03\x04"
HANDSHAKE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
HANDSHAKE_KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="  # the one of RFC 6455, section 1.3


def head(subject: Subject) -> Answer:
    """Ask by HEAD for something that has content."""
    with connected(subject.port) as client:
        client.send(request(ECHO, CLOSE, method="HEAD"))
        content = client.read_to_the_end(waits.NEVER_S).partition(END_OF_HEAD)[2]
        came = "content came with it" if content else "no content came with it"
        return answer(client.status == 200 and not content, f"HEAD {client.outcome}; {came}.")


def expect_continue(subject: Subject) -> Answer:
    """Announce a body and send it only when the server says so, or some seconds later."""
    with connected(subject.port) as client:
        client.send(request(ECHO, f"Content-Length: {len(HELLO)}", "Expect: 100-continue", CLOSE, method="POST"))
        came = client.read_until(b"HTTP/1.1 100", waits.NEVER_S)
        client.send(HELLO)
        client.read_answer()
        before = "100 came before the body was sent" if came else "No 100 came before the body was sent"
        return answer(came, f"{before}; then the request {client.outcome}.")


def chunked_request(subject: Subject) -> Answer:
    """Send a body in chunks, without its length."""
    return _send_chunks(subject, ECHO, "the application")


def chunked_request_of_django(subject: Subject) -> Answer:
    """Send a body in chunks to a view of Django, which reads as much as its server's Content-Length says."""
    return _send_chunks(subject, "/django/read", "the view")


def _send_chunks(subject: Subject, path: str, reader: str) -> Answer:
    with connected(subject.port) as client:
        client.send(request(path, CHUNKED, CLOSE, method="POST", body=CHUNKED_HELLO))
        client.read_answer()
        count = client.bodies[0]["read"] if client.bodies else 0
        read = f"{reader} read {count} of {len(HELLO)} bytes"
        return answer(count == len(HELLO), f"The request {client.outcome}; {read}.")


def pipelining(subject: Subject) -> Answer:
    """Send two requests at once."""
    with connected(subject.port) as client:
        client.send(request(FIRST) + request(SECOND, CLOSE))
        client.read_to_the_end()
        keys = [body["key"] for body in client.bodies]
        return answer(keys == ["first", "second"], f"Answered, in this order: {', '.join(keys) or 'nothing'}.")


def both_lengths(subject: Subject) -> Answer:
    """Send a request with Content-Length beside Transfer-Encoding, and one behind it on the same connection."""
    headers = ("Content-Length: 4", CHUNKED)
    with connected(subject.port) as client:
        client.send(request(FIRST, *headers, method="POST", body=CHUNKED_HELLO) + request(SECOND, CLOSE))
        client.read_to_the_end()
        count = {body["key"]: body["read"] for body in client.bodies}
        if not count:
            return answer(True, f"The request {client.outcome}.")
        next_one = "was answered on the same connection" if "second" in count else "was not answered"
        is_right = count == {"first": len(HELLO)}
        return answer(is_right, f"The application read {count.get('first', 0)} bytes; the next request {next_one}.")


def bare_lf(subject: Subject) -> Answer:
    """Send a request whose lines end in LF without CR."""
    with connected(subject.port) as client:
        client.send(request(ECHO, CLOSE).replace(b"\r\n", b"\n"))
        client.read_answer(waits.NEVER_S)
        return answer(client.status != 200, f"The request {client.outcome}.")


def head_limit(subject: Subject) -> Answer:
    """Send one field of 4 KiB to 1 MiB."""

    def fields(kib: int) -> list[str]:
        return [f"X-Long: {'x' * kib * 1024}"]

    most, refused = _limit(subject, HEADS_KIB, fields)
    return answer(refused > 0, _limit_text(most, refused, "A field of {} KiB"))


def field_limit(subject: Subject) -> Answer:
    """Send 50 to 5,000 short fields."""

    def fields(number: int) -> list[str]:
        return [f"X-{index}: x" for index in range(number)]

    most, refused = _limit(subject, FIELDS, fields)
    return answer(refused > 0, _limit_text(most, refused, "A head of {} fields"))


def _limit(subject: Subject, sizes: Sequence[int], fields: Callable[[int], list[str]]) -> tuple[int, int]:
    """Return the largest size that was read and the first that was not; 0 for none."""
    most = 0
    for size in sizes:
        with connected(subject.port) as client:
            client.send(request(ECHO, CLOSE, *fields(size)))
            if client.read_answer() != 200:
                return most, size
        most = size
    return most, 0


def _limit_text(most: int, refused: int, what: str) -> str:
    if not refused:
        return f"{what.format(f'{most:,}')} was read, the largest that was sent."
    return f"{what.format(f'{most:,}')} was read, one of {refused:,} was not."


def keep_alive(subject: Subject) -> Answer:
    """Send two requests on a connection, one after the other."""
    with connected(subject.port) as client:
        statuses = []
        for path in (FIRST, SECOND):
            client.send(request(path))
            statuses.append(client.read_answer())
        is_kept = statuses == [200, 200]
        return answer(
            is_kept, "Both requests were answered." if is_kept else "The connection ended after the first answer."
        )


def connection_close(subject: Subject) -> Answer:
    """Ask for the end of the connection with the answer."""
    with connected(subject.port) as client:
        client.send(request(ECHO, CLOSE))
        status = client.read_answer()
        client.read_to_the_end(waits.NEVER_S)
        ended = "then the connection ended" if client.is_closed else "the connection stayed open"
        return answer(status == 200 and client.is_closed, f"The request {client.outcome}; {ended}.")


def idle_end(subject: Subject) -> Answer:
    """Leave a connection alone after an answer, on a server with a short keep-alive."""
    with connected(subject.port) as client:
        client.send(request(ECHO))
        client.read_answer()
        if client.is_closed or b"connection: close" in client.received.lower():
            return Answer("does not apply", "The connection ended with its first answer.")
        client.read_to_the_end(SHORT_KEEP_ALIVE_S + 2 * waits.NEVER_S)
        ended = "ended" if client.is_closed else "stayed open much longer"
        told = f"With a keep-alive of {SHORT_KEEP_ALIVE_S} s" if subject.is_told_keep_alive else "Without a setting"
        return answer(client.is_closed, f"{told} an idle connection {ended}.")


def proxied_client(subject: Subject) -> Answer:
    """Ask as a proxy on this machine does, for a client elsewhere who came by HTTPS."""
    with connected(subject.port) as client:
        client.send(request(ECHO, f"X-Forwarded-For: {PROXIED}", "X-Forwarded-Proto: https", CLOSE))
        client.read_answer()
        seen = client.bodies[0] if client.bodies else {"client": "none", "scheme": "none"}
        text = f"The application saw the client {seen['client']} and the scheme {seen['scheme']}."
        return answer(seen["client"] == PROXIED, text)


def websocket(subject: Subject) -> Answer:
    """Open a WebSocket and send a text, which the application sends back."""
    text = b"hello"
    masked = bytes(sign ^ MASK[index % 4] for index, sign in enumerate(text))
    with connected(subject.port) as client:
        client.send(request("/socket", *HANDSHAKE, HANDSHAKE_KEY))
        client.read_until(END_OF_HEAD, waits.NEVER_S)
        if client.status != 101:
            return answer(False, f"The handshake {client.outcome}.")
        client.send(b"\x81" + bytes([0x80 | len(text)]) + MASK + masked)
        came = client.read_until(b"\x81" + bytes([len(text)]) + text, waits.NEVER_S)
        return answer(came, f"The handshake {client.outcome}; a text {'came' if came else 'did not come'} back.")
