"""The one JSON document of `lab try`. It holds no value of the project's settings and no header of a request."""

from dataclasses import replace
from typing import Any

import msgspec

from bench.learn.your_project.model import Checked, Examination


def document(found: Examination) -> dict[str, Any]:
    """Return the document: `answer`, `paths`, `blocking`, `unequal`, `writes`, `not_looked_at` and the rest.

    A page that was not asked yet, because of Ctrl-C, is not measurable.
    """
    left = [Checked(page, None, refused="not asked") for page in found.pages[len(found.checked) :]]
    found = replace(found, checked=[*found.checked, *left])
    plain: dict[str, Any] = msgspec.to_builtins(found, enc_hook=str)
    checked, traces, pages = (plain.pop(name) for name in ("checked", "traces", "pages"))
    for one, has in zip(traces, found.traces, strict=True):
        if has.trace:
            one["trace"]["summary"] = has.trace.summary
    for page in pages:
        page["traces"] = {
            one["door"]: one["trace"] or {"problem": one["problem"]} for one in traces if one["page"] == page
        }
    for one in checked:
        del one["expected"]
    return {
        "answer": plain.pop("answer"),
        "paths": [
            {**one, **page, "page": has.page.name, "measurable": has.is_measurable}
            for page, one, has in zip(pages, checked, found.checked, strict=True)
        ],
        "unequal": [one.page.name for one in found.checked if one.difference],
        **plain,
    }
