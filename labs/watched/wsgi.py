"""What the server loads: the WSGI application of the lab that LAB_WATCHED names, with each numbered request noted."""

from collections.abc import Iterator
from typing import Any

from labs.watched.lab import LAB, SHEET
from labs.watched.sheet import GONE, IN_APPLICATION, REQUEST


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Serve as the lab does; note when a numbered request comes in and when its response is closed."""
    number = int(environ.get("HTTP_X_ROOM_REQUEST", 0))
    REQUEST.set(number)
    SHEET.note(number, IN_APPLICATION)
    try:
        return Noted(LAB(environ, start_response), number)
    except BaseException:
        SHEET.note(number, GONE)
        raise


class Noted:
    """A response's body that notes the end of its request when the server closes it."""

    def __init__(self, body: Any, number: int) -> None:
        self.body, self.number = body, number

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.body)

    def close(self) -> None:
        """Close the response, as the server asks."""
        try:
            self.body.close()
        finally:
            SHEET.note(self.number, GONE)
