"""Tries the projects of `labs/to_try`, whose answers are known, and keeps what came for lesson 12.

    python -m bench.learn.your_project.known

writes `results/reference/tried.json`, in some minutes. Let nothing else run meanwhile.
"""

import json
import subprocess
import sys
from typing import Any

from bench.base.console import announce, run_program
from bench.base.errors import ExitCode, LabError
from bench.base.files import ROOT, write_atomically
from bench.model.run_store import REFERENCE

FILE = REFERENCE / "tried.json"
PROJECTS = ROOT / "labs" / "to_try"
WORDS = {
    "should_switch": ("/", "--users", "200", "--threads", "8"),
    "should_stay": ("/", "/sums", "--users", "64", "--threads", "64"),
    "cannot_tell": ("/", "/throttled", "/busy", "--users", "16"),
}
"""Of each project: what `lab try` is asked."""
KEPT = ("answer", "terms", "arms", "unequal", "versions", "not_looked_at")
"""Of the document; the rest names folders of the machine on which it was made."""
OF_PAGE = ("page", "status", "measurable", "refused", "difference")
TRIED_WITHIN_S = 900.0


def try_all() -> dict[str, Any]:
    """Try every project and return what is kept of each answer. Raises LabError if `lab try` fails."""
    return {name: _kept_of(_try(name), name) for name in WORDS}


def load_tried(name: str) -> dict[str, Any]:
    """Read what is kept of a project's answer."""
    tried: dict[str, Any] = json.loads(FILE.read_text())[name]
    return tried


def _try(name: str) -> dict[str, Any]:
    announce(f"trying {name}")
    command = [sys.executable, "-m", "bench", "try", str(PROJECTS / name), *WORDS[name], "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TRIED_WITHIN_S, check=False)
    if done.returncode not in (ExitCode.FINE, ExitCode.INVALID):
        raise LabError(f"`lab try` of {name} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _kept_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    pages = [{key: page[key] for key in OF_PAGE} | {"hops": _hops(page)} for page in document["paths"]]
    words = " ".join(["lab", "try", f"labs/to_try/{name}", *WORDS[name]])
    return {"command": words, "pages": pages, **{key: document[key] for key in KEPT}}


def _hops(page: dict[str, Any]) -> dict[str, str]:
    """Return the hops of a page behind each door in which it was traced, in a sentence."""
    return {door: trace["summary"] for door, trace in page["traces"].items() if "summary" in trace}


def main() -> int:
    """Write the file."""
    write_atomically(FILE, (json.dumps(try_all(), indent=1, ensure_ascii=False) + "\n").encode())
    return ExitCode.FINE


if __name__ == "__main__":
    sys.exit(run_program(main))
