"""One request of one application, as it is handed to the process that asks it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Ask:
    """One request of an application. `warm` requests go before it untraced: first ones import and connect.

    `leave_after_s`: the client goes away after so long; None: it waits for the whole answer.
    """

    app: str
    path: str
    method: str = "GET"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    warm: int = 1
    leave_after_s: float | None = None
    observer: str = "best"

    def header(self, name: str, default: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), default)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def read(path: Path) -> Ask:
    """What `Ask.write` wrote."""
    plain = json.loads(path.read_text())
    return Ask(**{**plain, "headers": [tuple(pair) for pair in plain["headers"]]})
