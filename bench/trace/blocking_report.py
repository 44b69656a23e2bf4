"""What blocked an event loop, as `inside/blocking_pass.py` reports it: reading, and what it comes to."""

import json
from pathlib import Path
from typing import Any

REPORTS = "blocking"
"""The folder in which each process of a server writes its report."""
EMPTY: dict[str, Any] = {
    "blocking": [],
    "threshold_ms": None,
    "requests": 0,
    "statuses": [],
    "ended": True,
    "sees_waits": True,
    "interpreter": "",
}


def merge_reports(folder: Path) -> dict[str, Any]:
    """Read the reports of all processes of a server as one; of a place the sums, and the longest time."""
    reports = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    places: dict[Any, dict[str, Any]] = {}
    for finding in (finding for report in reports for finding in report["blocking"]):
        key = finding["file"], finding["line"], finding["function"]
        places[key] = _merged(places[key], finding) if key in places else finding
    return {
        **EMPTY,
        **(reports[0] if reports else {}),
        "blocking": sorted(places.values(), key=lambda finding: -finding["ms"]),
        "requests": sum(report["requests"] for report in reports),
        "statuses": sorted({status for report in reports for status in report["statuses"]}),
    }


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    sums = {name: one[name] + other[name] for name in ("times", "total_ms")}
    return {**one, **sums, "ms": max(one["ms"], other["ms"]), "first_time": one["first_time"] and other["first_time"]}


def while_running(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings that are more than loading: not only in first requests, and no import."""
    return [finding for finding in report["blocking"] if not finding["first_time"] and not finding["import"]]


def while_loading(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings of first requests and imports."""
    return [finding for finding in report["blocking"] if finding["first_time"] or finding["import"]]
