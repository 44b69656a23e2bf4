"""Makes foreign text (a server's headers and log, a run, a database) safe to print."""

import re

# C0 without tab and line feed, DEL, C1; what changes the direction of writing (CVE-2021-42574); lone surrogates.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Write out every character that could command a terminal, as `\\u001b`, which JSON reads back."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
