"""The three ways to update a preview, and what the page says about each, behind either door."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """A sentence about one way behind one door, and whether that way works there."""

    sentence: str
    works: bool = True


WAYS = {"post": "Debounced POST", "stream": "Event stream", "socket": "WebSocket"}

UNDER_WSGI = {
    "post": Note(
        "Works under WSGI: a pause in typing sends one ordinary request, and its answer is the preview. "
        "Another window sees the draft when it is loaded again."
    ),
    "stream": Note(
        "Works under WSGI, at the cost of a thread: each window holds one of the server's threads for as long as it "
        "is open. With as many windows as threads the server answers nobody else."
    ),
    "socket": Note(
        "Cannot work here: this server speaks WSGI, which has no way to change a connection into a WebSocket. The "
        "editor below tries, so that you see what happens; the same project behind ASGI does it.",
        works=False,
    ),
}
UNDER_ASGI = {
    "post": Note(
        "A pause in typing sends one ordinary request, and its answer is the preview; ASGI is not needed. "
        "Another window sees the draft when it is loaded again."
    ),
    "stream": Note(
        "A pause in typing sends the draft; the preview comes to all windows on this draft through an open response, "
        "whose waiting needs no thread of the view's."
    ),
    "socket": Note(
        "Each change goes out at once on an open connection; on it the preview comes back, to all windows on a draft."
    ),
}


def note_for(way: str, asgi: bool) -> Note:
    """Return the note on a way behind ASGI, or behind WSGI."""
    return (UNDER_ASGI if asgi else UNDER_WSGI)[way]
