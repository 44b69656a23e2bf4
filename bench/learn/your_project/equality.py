"""Whether both doors answer a page the same: asked twice behind WSGI, then behind ASGI, each with a database anew.

What differs between the two answers of one door is masked. What still differs is asked for once more behind WSGI, in a
new process: what differs there too, such as the minute or an id of the process, is masked as well.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.learn.your_project import comparing
from bench.learn.your_project.comparing import Document, Place
from bench.learn.your_project.databases import Copies
from bench.learn.your_project.model import Checked, Door, Expected, Page, Refusal, View, Write
from bench.learn.your_project.overlay import Overlay

PAGE_WITHIN_S = 15.0
ROUNDS = 2
PAUSE_S = 1.1
"""Longer than the second that many pages show."""


@dataclass(frozen=True)
class Asked:
    """A whole answer to a page, as `inside/overlay/asking.py` writes it."""

    status: int | None
    headers: list[list[str]]
    body: bytes
    cut: bool
    error: str
    problem: str
    took_ms: float
    view: View | None
    writes: list[tuple[str, str, int]]
    refused: list[tuple[str, str, int]]

    @property
    def document(self) -> Document:
        """Return what is compared."""
        return Document(self.status, self.headers, self.body)

    @property
    def why_no_success(self) -> str:
        """Return why it is no success; empty where it is one."""
        said = self.error or self.problem or ("it did not end" if self.cut else "")
        return comparing.success_problem(self.status, self.headers, self.body, said)


Answers = dict[Page, list[Asked]]
"""The answers of one door to each page; fewer than asked for where the page hangs."""


Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Equality:
    """The pages as checked, and what was seen on the way."""

    checked: list[Checked]
    writes: list[Write]
    refusals: list[Refusal]


def check_equality(overlay: Overlay, copies: Copies, pages: Sequence[Page], headers: Headers) -> Equality:
    """Ask each page behind both doors and compare. Raises LabError where the project cannot be loaded."""
    wsgi = ask(overlay, copies, "wsgi", pages, headers, ROUNDS)
    asgi = ask(overlay, copies, "asgi", pages, headers, ROUNDS)
    checked = [check(page, wsgi[page], asgi[page]) for page in pages]
    doubtful = [one.page for one in checked if one.difference]
    if doubtful:
        again = ask(overlay, copies, "wsgi", doubtful, headers, 1)
        checked = [
            check(one.page, [*wsgi[one.page], *again[one.page]], asgi[one.page]) if one.difference else one
            for one in checked
        ]
    return Equality(checked, list(_writes(wsgi, asgi)), list(_refusals(wsgi, asgi)))


def ask(overlay: Overlay, copies: Copies, door: Door, pages: Sequence[Page], headers: Headers, rounds: int) -> Answers:
    """Ask the pages behind a door in one process, with databases anew; after one that hangs, in another process."""
    answers: Answers = {page: [] for page in pages}
    left = list(pages)
    while left:
        question = {
            "door": door,
            "pages": [{"path": page.path, "method": page.method} for page in left],
            "headers": [*copies.cookies_in(headers)],
            "rounds": rounds,
            "pause_s": PAUSE_S,
            "page_within_s": PAGE_WITHIN_S,
            "within_s": (PAGE_WITHIN_S + 2) * len(left) * rounds,
        }
        with copies.anew() as databases:
            found = overlay.planned(databases=databases).run("asking", "main", question)
        hung = None if found["hangs"] is None else left[found["hangs"]]
        for page in left:
            numbers = (one for one in found["answers"] if left[one["page"]] == page)
            answers[page] = [HUNG] if page == hung else [_asked(one) for one in numbers]
        left = [page for page in left if hung and page != hung]
    return answers


def _asked(found: dict[str, Any]) -> Asked:
    view = View(**found["view"]) if found["view"] else None
    kept = {name: found[name] for name in NAMES}
    return Asked(**kept, view=view, body=base64.b64decode(found["body"]))


NAMES = ("status", "headers", "cut", "error", "problem", "took_ms", "writes", "refused")
HUNG = Asked(None, [], b"", False, f"it did not end within {PAGE_WITHIN_S:g} s", "", 0.0, None, [], [])


def check(page: Page, wsgi: Sequence[Asked], asgi: Sequence[Asked]) -> Checked:
    """Compare the answers of both doors to a page."""
    first = wsgi[0]
    refused = _refusal_of(wsgi, asgi)
    one = first.document
    masks = _masks(one, wsgi[1:])
    all_masks = masks | _masks(asgi[0].document, asgi[1:])
    differs = [] if refused else comparing.difference(one, asgi[0].document, all_masks)
    return Checked(
        page,
        first.status,
        first.view or asgi[0].view,
        refused,
        comparing.masked_texts(one, masks),
        differs,
        {"wsgi": wsgi[-1].took_ms, "asgi": asgi[-1].took_ms},
        Expected(one, all_masks, [len(answer.body) for answer in (*wsgi, *asgi)]),
    )


def _masks(one: Document, others: Sequence[Asked]) -> set[Place]:
    """Return the places at which later answers of the same door differ from the first."""
    return {place for other in others for place in comparing.places_that_differ(one, other.document)}


def _refusal_of(wsgi: Sequence[Asked], asgi: Sequence[Asked]) -> str:
    """Return why a page is not measured, whatever the doors' difference; empty where both succeed.

    Where one door succeeds and the other does not, that is named with the door.
    """
    doors = {"WSGI": wsgi[-1].why_no_success, "ASGI": asgi[-1].why_no_success}
    failing = {door: why for door, why in doors.items() if why}
    if len(failing) == 2:
        return doors["WSGI"]
    return next((f"only behind {door}: {why}" for door, why in failing.items()), "")


def _writes(*doors: Answers) -> Iterator[Write]:
    """Yield what the pages wrote, of both doors; the number of times is that of one request."""
    seen: dict[tuple[str, str, str], Write] = {}
    for page, one in ((page, one) for answers in doors for page, asked in answers.items() for one in asked):
        for statement, place, times in one.writes:
            known = seen.get((page.name, statement, place))
            if known is None or times > known.times:
                seen[page.name, statement, place] = Write(page.name, statement, place, times)
    yield from seen.values()


def _refusals(*doors: Answers) -> Iterator[Refusal]:
    """Yield the connections that were refused, of both doors; the number of times is that of one request."""
    seen: dict[tuple[str, str, str], Refusal] = {}
    for page, one in ((page, one) for answers in doors for page, asked in answers.items() for one in asked):
        for place, address, times in one.refused:
            known = seen.get((page.name, place, address))
            if known is None or times > known.times:
                seen[page.name, place, address] = Refusal(place, address, times, page.name)
    yield from seen.values()
