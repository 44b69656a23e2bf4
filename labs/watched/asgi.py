"""What the server loads: the ASGI application of the lab that LAB_WATCHED names, with each numbered request noted."""

from typing import Any

from labs.watched.lab import LAB, SHEET
from labs.watched.sheet import GONE, IN_APPLICATION, REQUEST


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Serve as the lab does; note when a numbered request comes in and when it is over."""
    number = next((int(value) for name, value in scope.get("headers", ()) if name == b"x-room-request"), 0)
    REQUEST.set(number)
    SHEET.note(number, IN_APPLICATION)
    try:
        await LAB(scope, receive, send)
    finally:
        SHEET.note(number, GONE)
