"""Whether answers are the same, apart from what differs between two answers of the same door.

An answer is a document: its status, its headers and its body, in lines, and lines in tokens. What differs between two
answers is a set of places in the first one. Places that differ behind the same door are masked in every comparison.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

UNCOMPARED = ("date", "server", "connection", "keep-alive", "transfer-encoding", "content-length")
"""Headers that a server makes, and the length of a body that is compared itself."""
LINE_ENDS = re.compile(r"(?<=[\n,;])|(?=<(?!/))")
"""After a newline, a comma and a semicolon, and before a tag that opens: JSON and HTML may come in one line."""
TOKENS = re.compile(r"[\w+/=.:%@-]+|\s+|.", re.DOTALL)
"""A token is a word with all that is in dates, addresses and encoded numbers."""
LONG_LINES = 3000
"""Lines from which on difflib may take frequent ones for noise: else its time grows with the square."""
COOKIE = re.compile(r"^(set-cookie: [^=]*=)[^;]*")
WHOLE_LINE = -1
LONGEST_SHOWN = 160
Place = tuple[int, int]
"""Number of a line and of a token in it; the token is WHOLE_LINE where lines came or went."""


class Document:
    """An answer, split once. `status`, `headers` as pairs, `body` in bytes."""

    def __init__(self, status: int | None, headers: Sequence[Sequence[str]], body: bytes) -> None:
        kept = sorted(f"{name.lower()}: {value.strip()}\n" for name, value in headers if name.lower() not in UNCOMPARED)
        text = body.decode("utf-8", "backslashreplace")
        self.lines = [f"{status}\n", *kept, "\n", *filter(None, LINE_ENDS.split(text))]


def places_that_differ(one: Document, other: Document) -> set[Place]:
    """Return the places of `one` at which the other document differs."""
    return set(_places(one.lines, other.lines))


def _places(one: list[str], other: list[str]) -> Iterator[Place]:
    for tag, begin, end, other_begin, other_end in _opcodes(one, other):
        if tag == "replace" and end - begin == other_end - other_begin:
            for number, (line, other_line) in enumerate(zip(one[begin:end], other[other_begin:other_end], strict=True)):
                yield from ((begin + number, token) for token in _tokens_that_differ(line, other_line))
        elif tag != "equal":
            yield from ((number, WHOLE_LINE) for number in range(begin, max(end, begin + 1)))


def _opcodes(one: list[str], other: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """difflib's, without what is the same at the beginning and at the end: pages are mostly equal."""
    head = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    most = min(len(one), len(other)) - head
    tail = next((at for at in range(most) if one[-1 - at] != other[-1 - at]), most)
    middle, other_middle = one[head : len(one) - tail], other[head : len(other) - tail]
    matcher = SequenceMatcher(None, middle, other_middle, autojunk=len(middle) > LONG_LINES)
    for tag, *bounds in matcher.get_opcodes():
        begin, end, other_begin, other_end = (bound + head for bound in bounds)
        yield tag, begin, end, other_begin, other_end


def _tokens_that_differ(line: str, other: str) -> Iterator[int]:
    """Return numbers of tokens of the line; of one that is only added, the number of the one after it."""
    matcher = SequenceMatcher(None, TOKENS.findall(line), TOKENS.findall(other), autojunk=False)
    for tag, begin, end, _, _ in matcher.get_opcodes():
        if tag != "equal":
            yield from range(begin, max(end, begin + 1))


def is_masked(place: Place, masks: set[Place]) -> bool:
    """Return whether the place, or its whole line, differs behind the same door."""
    return place in masks or (place[0], WHOLE_LINE) in masks


def masked_texts(document: Document, masks: set[Place], most: int = 10) -> list[str]:
    """Return what is masked, to be shown: lines with their masked tokens in ⟨⟩."""
    lines = sorted({line for line, _ in masks if line < len(document.lines)})
    return [_shown(document.lines[line], {token for at, token in masks if at == line}) for line in lines[:most]]


def _shown(line: str, tokens: set[int]) -> str:
    marked = [
        f"⟨{token}⟩" if number in tokens or WHOLE_LINE in tokens else token
        for number, token in enumerate(TOKENS.findall(line))
    ]
    return _printed("".join(marked))


def _printed(line: str) -> str:
    """A line as it is shown: not without end, and of a cookie no value, which may let somebody in."""
    return COOKIE.sub(r"\1…", line.strip())[:LONGEST_SHOWN]


def difference(one: Document, other: Document, masks: set[Place], most: int = 20) -> list[str]:
    """Return lines of a diff of what differs apart from the masks: `- ` of the first, `+ ` of the other document."""
    found: list[str] = []
    for lines, other_lines in _pieces(one.lines, other.lines):
        places = set(_places(one.lines[lines.start : lines.stop], other.lines[other_lines.start : other_lines.stop]))
        if not all(is_masked((lines.start + line, token), masks) for line, token in places):
            found += [f"- {_printed(one.lines[line])}" for line in lines]
            found += [f"+ {_printed(other.lines[line])}" for line in other_lines]
    return found[:most]


def _pieces(one: list[str], other: list[str]) -> Iterator[tuple[range, range]]:
    """Lines that differ: pairs of one line each where as many came as went, else all of a place together."""
    for tag, begin, end, other_begin, other_end in _opcodes(one, other):
        if tag == "replace" and end - begin == other_end - other_begin:
            pairs = zip(range(begin, end), range(other_begin, other_end), strict=True)
            yield from ((range(line, line + 1), range(number, number + 1)) for line, number in pairs)
        elif tag != "equal":
            yield range(begin, end), range(other_begin, other_end)


def success_problem(status: int | None, headers: Sequence[Sequence[str]], body: bytes, said: str) -> str:
    """Return why an answer is no success, though it may look like one; empty where it is one.

    `said` is what the project's process found out about a status of 300 or more.
    """
    from http import HTTPStatus

    if status is None:
        return said or "no answer"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "429: the project throttles; leave that out with --without throttles"
    if not 200 <= status < 300:
        login = " lab try makes a session with --login USER." if status < 400 and "login" in said else ""
        return f"{said or f'status {status}'}{login}"
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    return _throttled(body) or _graphql_errors(kind, body)


THROTTLED = re.compile(rb"too many (requests|attempts)|rate limit(ed| exceeded)|request was throttled", re.IGNORECASE)
LONGEST_THROTTLED = 2000
"""Bytes of an answer that says no more than that."""


def _throttled(body: bytes) -> str:
    found = THROTTLED.search(body) if len(body) <= LONGEST_THROTTLED else None
    words = found[0].decode() if found else ""
    return f"200 that says {words!r}; leave throttles out with --without throttles" if words else ""


def _graphql_errors(kind: str, body: bytes) -> str:
    """GraphQL answers 200 also to what failed. Source: https://spec.graphql.org/October2021/#sec-Errors"""
    import json

    if "json" not in kind or b'"errors"' not in body:
        return ""
    try:
        document: Any = json.loads(body)
    except ValueError:
        return ""
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list) or not errors:
        return ""
    said = errors[0].get("message", "") if isinstance(errors[0], dict) else ""
    return f"200 with GraphQL errors inside: {str(said)[:LONGEST_SHOWN]}"
