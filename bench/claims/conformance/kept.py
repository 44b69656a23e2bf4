"""Keeps the answers in `results/reference/conformance.json`, reads them, and finds what has changed since."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.base import files
from bench.base.errors import DamagedRun
from bench.claims.conformance.answers import Word
from bench.model import run_store
from bench.model.servers import Interface

FILE = run_store.REFERENCE / "conformance.json"


class Row(NamedTuple):
    """The answer of a server behind one interface to one question, and what was seen."""

    server: str
    version: str
    interface: Interface
    question: str
    answer: Word
    seen: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Server, interface and question: what a row of another version is compared by."""
        return self.server, self.interface, self.question


class Change(NamedTuple):
    """A row that differs from the kept one in its answer or in what was seen."""

    was: Row
    now: Row

    @property
    def counts(self) -> bool:
        """Return whether the answer itself has changed."""
        return self.was.answer != self.now.answer


def load_rows(path: Path | None = None) -> list[Row]:
    """Load the kept rows, those of FILE by default; none without it. Raises DamagedRun if it holds something else."""
    path = path or FILE
    if not path.exists():
        return []
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, list[dict[str, str]]])
        return [msgspec.convert(tuple(row[name] for name in Row._fields), Row) for row in found["rows"]]
    except (msgspec.MsgspecError, KeyError) as error:
        raise DamagedRun(f"{path} is no list of answers ({error}): `lab conformance --keep` makes it anew.") from None


def save_rows(rows: Sequence[Row], path: Path | None = None) -> None:
    """Keep the rows, each on a line of its own, so that a difference shows as such. Raises OSError on a full disk."""
    lines = ",\n".join(json.dumps(row._asdict(), ensure_ascii=False) for row in rows)
    files.write_atomically(path or FILE, f'{{"rows": [\n{lines}\n]}}\n'.encode())


def merge_rows(kept: Sequence[Row], rows: Sequence[Row], places: Sequence[tuple[str, str, str]]) -> list[Row]:
    """Return a row for each place: the new one if it was asked, else the kept one."""
    before = {row.place: row for row in kept}
    after = before | {row.place: row for row in rows if row.answer != "could not ask" or row.place not in before}
    return [after[place] for place in places if place in after]


def find_changes(kept: Sequence[Row], rows: Sequence[Row]) -> list[Change]:
    """Return what differs from the kept rows; what is new, or could not be asked now or then, does not."""
    before = {row.place: row for row in kept}
    pairs = [Change(before[row.place], row) for row in rows if row.place in before]
    return [
        pair
        for pair in pairs
        if "could not ask" not in (pair.was.answer, pair.now.answer) and (pair.was[4:] != pair.now[4:])
    ]
