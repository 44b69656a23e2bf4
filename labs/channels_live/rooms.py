"""What both kinds of consumer agree on: names of rooms, what may be said, and what is sent."""

import json
import threading
from secrets import token_hex
from typing import Any

from labs.common.parameters import BadParameter, whole_number

ROOM = "(?P<room>[-a-zA-Z0-9_]{1,50})"
LONGEST_MESSAGE = 1000
# An application's own codes (RFC 6455, section 7.4.2): daphne raises where one sends 1003, 1009 or 1013 itself.
NOT_TEXT, TOO_BIG, TRY_AGAIN_LATER = 4003, 4009, 4013
OPEN_SOCKETS: set[str] = set()
"""The channel names of the chat's sockets in this process."""
REDIS_IS_AWAY = "Nobody has heard this: Redis is away. Say it again later."


class Refused(ValueError):
    """The sentence to answer with; a socket that should not go on is closed with the code."""

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code

    @property
    def line(self) -> str:
        """Return the sentence as a JSON line for the visitor."""
        return json.dumps({"error": str(self)})


def checked(text: str | None) -> str:
    """The text of a message; raises Refused where it is none (bytes) or longer than LONGEST_MESSAGE."""
    if text is None:
        raise Refused("Only text is understood here.", NOT_TEXT)
    if len(text) > LONGEST_MESSAGE:
        raise Refused(f"A message has at most {LONGEST_MESSAGE} characters, not {len(text)}.", TOO_BIG)
    return text


def wait_s(text: str) -> float:
    """How long `/wait 300` waits before it is said, in seconds; 0 for all other texts. Raises Refused."""
    if not text.startswith("/wait "):
        return 0.0
    try:
        return whole_number("ms", text.removeprefix("/wait ")) / 1000
    except BadParameter as error:
        raise Refused(str(error)) from None


def group_of(scope: dict[str, Any]) -> str:
    """The channel layer's name for the room in the URL."""
    return f"chat.{scope['url_route']['kwargs']['room']}"


def visitor() -> str:
    """Return a new random name for a visitor: four hex digits."""
    return token_hex(2)


def welcome(who: str) -> str:
    """Return the JSON line that tells a visitor their name."""
    return json.dumps({"you": who, **process_counts()})


def said(who: str, text: str) -> dict[str, str]:
    """A message for all of a room; `thread` is the one in which it was handled."""
    line = json.dumps({"who": who, "text": text, "thread": threading.get_native_id(), **process_counts()})
    return {"type": "chat.said", "line": line}


def process_counts() -> dict[str, int]:
    """Return how many chat sockets this process has open, and how many threads of Python."""
    return {"sockets": len(OPEN_SOCKETS), "threads": threading.active_count()}
