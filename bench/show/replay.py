"""A recording of the room as a part of a page: its data, the renderer and a bar to move in time, all in one piece.

A page that is opened from a disk may import no module, so the modules are joined into one.
"""

import json
import re
from pathlib import Path

from markupsafe import Markup

from bench.model.room_recording import RoomRecording

LANES = Path(__file__).parent / "lanes"
MODULES = ("stage", "lanes", "frames", "player")
"""In an order in which none needs a later one."""
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def joined_modules() -> str:
    """Return the renderer's modules as one script without imports and exports."""
    texts = [(LANES / f"{name}.js").read_text() for name in MODULES]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def style() -> str:
    """Return the renderer's style sheet."""
    return (LANES / "lanes.css").read_text()


def replay_markup(recording: RoomRecording) -> Markup:
    """Return HTML that plays the recording. Its data are escaped: no text in them can end the script."""
    data = json.dumps(recording.to_json()).replace("<", "\\u003c").replace("\u2028", " ").replace("\u2029", " ")
    return Markup(
        f"<style>{style()}</style>\n"
        '<div id="room"></div>\n'
        f'<script type="application/json" id="recording">{data}</script>\n'
        f'<script type="module">\n{joined_modules()}\n'
        'new Player(document.getElementById("room"), JSON.parse(document.getElementById("recording").textContent));\n'
        "</script>"
    )
