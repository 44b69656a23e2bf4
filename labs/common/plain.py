"""What the labs without a framework answer, whichever interface they are asked through."""

import json
import os
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

from labs.common.parameters import DEFAULTS, BadParameter, whole_number
from labs.common.runtime import runtime

INSTANCE = os.environ.get("LAB_INSTANCE", "")


@dataclass(frozen=True)
class Answer:
    """What to answer: a JSON body, a status, and how many seconds to wait first."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    wait_s: float = 0.0  # waiting is the interface's: one sleeps in its thread, the other in its loop

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Return content type and length."""
        return [("Content-Type", "application/json"), ("Content-Length", str(len(self.body)))]


def answer_to(path: str, query: bytes) -> Answer:
    """Return the answer to a path and its query: 404 for unknown paths, 400 for a wrong `ms`."""
    match path:
        case "/hello":
            return Answer(as_json(message="hello"))
        case "/wait":
            return _wait(query)
        case "/ready":
            return Answer(as_json(**about(query.decode(errors="replace"))))
    return Answer(as_json(error=nothing_here("hello", "wait", "ready")), HTTPStatus.NOT_FOUND)


def about(query: str) -> dict[str, object]:
    """Return what `/ready` answers: LAB_INSTANCE, and with `?runtime` also what the process runs on."""
    return {"instance": INSTANCE} | ({"runtime": runtime()} if query == "runtime" else {})


def nothing_here(*names: str) -> str:
    """Return the sentence of a 404: the names that a lab answers."""
    return f"Nothing here; this lab answers {', '.join('/' + name for name in names)}."


def number_in(query: bytes, name: str) -> int:
    """Return a parameter of the query, or its default. Raises BadParameter."""
    values = dict(parse_qsl(query.decode(errors="replace"), keep_blank_values=True))
    return whole_number(name, values.get(name, str(DEFAULTS[name])))


def refusal(error: BadParameter) -> Answer:
    """Return the answer to a wrong parameter."""
    return Answer(as_json(error=str(error)), HTTPStatus.BAD_REQUEST)


def _wait(query: bytes) -> Answer:
    try:
        ms = number_in(query, "ms")
    except BadParameter as error:
        return refusal(error)
    return Answer(as_json(waited_ms=ms), wait_s=ms / 1000)


def as_json(**data: object) -> bytes:
    """Return the data as the body of an answer."""
    return json.dumps(data).encode()
