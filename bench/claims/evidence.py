"""Loads the evidence that is kept in `results/reference`, or runs the probes again here."""

import json
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import django

from bench.base.errors import ExitCode, LabError
from bench.base.files import ROOT
from bench.claims.probes import DOCUMENTS, PROBES
from bench.measure.variables import clean_environment, own_variables
from bench.model import run_store
from bench.model.run_record import Run

PROBES_KEPT = "claims.json"
CONFORMANCE = "conformance"
"""What servers answered; no probe asks it again, `lab conformance` does."""
Document = Any


class Absent(LabError):
    """Evidence is missing. `is_of_this_place`: something is not installed here, which says nothing about Django."""

    def __init__(self, why: str, *, is_of_this_place: bool = False) -> None:
        super().__init__(why)
        self.is_of_this_place = is_of_this_place


class ReferenceMaterial:
    """The reference runs, the files beside them, and the probes' results in `claims.json`."""

    def __init__(self, folder: Path = run_store.REFERENCE) -> None:
        self.folder = folder
        self._runs: dict[str, Run] = {}
        self._documents: dict[str, Document] = {}

    def run(self, name: str) -> Run:
        """Load the reference run of an experiment. Raises Absent if it has not been made or cannot be read."""
        if not (self.folder / name / "run.json").exists():
            raise Absent(f"the reference run of {name} has not been made: `./scripts/reference` makes it")
        if name not in self._runs:
            try:
                self._runs[name] = run_store.load_run(self.folder / name)
            except LabError as error:
                raise Absent(str(error).rstrip(".")) from None
        return self._runs[name]

    @property
    def django(self) -> str:
        """Return the version of Django that the kept probes ran with; the installed one if none is kept."""
        return str(self._file(PROBES_KEPT).get("django", django.get_version()))

    def document(self, name: str) -> Document:
        """Return a probe's result or a file's content by its name. Raises Absent if there is none."""
        if name not in self._documents:
            self._documents[name] = self._read(name)
        found = self._documents[name]
        if isinstance(found, Absent):
            raise found
        return found

    def _read(self, name: str) -> Document:
        if name in DOCUMENTS or name == CONFORMANCE:
            return self._file(f"{name}.json")
        results = self._file(PROBES_KEPT).get("probes", {})
        if name not in results:
            return Absent(f"the probe {name} has not been run: `lab claims --write` runs it")
        return Absent(results[name]["absent"]) if "absent" in results[name] else results[name]

    def _file(self, name: str) -> Document:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else {}


class LiveMaterial(ReferenceMaterial):
    """The same, but the probes in `names` are run again, each in a process of its own.

    `announce` is called with a probe's name before it runs.
    """

    def __init__(
        self,
        names: Collection[str] = tuple(PROBES),
        folder: Path = run_store.REFERENCE,
        announce: Callable[[str], None] = lambda name: None,
    ) -> None:
        super().__init__(folder)
        self.names, self.announce = names, announce

    def _read(self, name: str) -> Document:
        if name not in self.names:
            return super()._read(name)
        self.announce(name)
        try:
            return run_probe(name)
        except Absent as absence:
            return absence

    @property
    def django(self) -> str:
        """Return the version of the installed Django."""
        return django.get_version()

    @property
    def probe_results(self) -> dict[str, Document]:
        """Return the results of the probes that were run, or why there are none, as `claims.json` keeps them."""
        probes = {name: found for name, found in sorted(self._documents.items()) if name in PROBES.keys() - DOCUMENTS}
        return {name: {"absent": str(it)} if isinstance(it, Absent) else it for name, it in probes.items()}


def run_probe(name: str) -> Document:
    """Run a probe in a process of its own, within its time limit; return its facts. Raises Absent with the reason."""
    within_s = PROBES[name].within_s
    command = [sys.executable, "-m", "bench.claims.probes", name]
    try:
        environment = clean_environment(own_variables())
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=within_s)
    except subprocess.TimeoutExpired:
        raise Absent(f"the probe {name} did not end within {within_s:g} s") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["without a word"])[-1].removeprefix("lab: ").rstrip(".")
        not_here = done.returncode == ExitCode.NOT_RUN
        raise Absent(f"the probe {name} could not be asked: {said}", is_of_this_place=not_here)
    return json.loads(done.stdout.splitlines()[-1])
