"""Several requests as one load: the pages of a project by their weights, with the headers that all have.

A file, because a header may be a secret, which no command line should show. Stands on the standard library alone,
because the Locust process imports it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MOST_TURNS = 200
"""In one round of a mix: a page with a smaller share than one of these is asked for more often than it should be."""
MOST_BYTES = 10_000_000
"""Of an answer, headers included: pages may be larger than what labs answer."""


@dataclass(frozen=True)
class MixedRequest:
    """One of the requests. `weight`: its share of all, above 0. A right answer has a body of `least_bytes` to
    `most_bytes` as it comes; None for any, as where an answer grows with what is written.
    """

    path: str
    weight: float = 1.0
    method: str = "GET"
    least_bytes: int = 0
    most_bytes: int | None = None

    def is_right(self, body: bytes) -> bool:
        """Return whether a body may be that of a right answer."""
        return self.least_bytes <= len(body) and (self.most_bytes is None or len(body) <= self.most_bytes)


@dataclass(frozen=True)
class Mix:
    """The requests, and the headers that each is sent with."""

    requests: Sequence[MixedRequest] = ()
    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)

    def write(self, path: Path) -> None:
        """Write it for `read_mix`; the file is for nobody else's eyes."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))

    def round(self) -> list[MixedRequest]:
        """Return the requests in the order in which a user sends them, again and again.

        Each comes as often as its weight says, spread evenly: smooth weighted round robin, as in nginx. At any time the
        users, who begin at random places, then ask for much the same mix.
        """
        total = sum(request.weight for request in self.requests)
        turns = [max(1, round(MOST_TURNS * request.weight / total)) for request in self.requests]
        credit, order = [0] * len(turns), []
        for _ in range(sum(turns)):
            credit = [have + turn for have, turn in zip(credit, turns, strict=True)]
            chosen = max(range(len(credit)), key=credit.__getitem__)
            credit[chosen] -= sum(turns)
            order.append(self.requests[chosen])
        return order


def read_mix(path: Path) -> Mix:
    """Read what `Mix.write` wrote."""
    data: dict[str, Any] = json.loads(path.read_text())
    headers = [(name, value) for name, value in data["headers"]]
    return Mix([MixedRequest(**request) for request in data["requests"]], headers)
