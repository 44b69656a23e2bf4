"""The lab that is served here, with its gauge on the sheet. Imported once in each process of the server."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from labs.common.gauge import GAUGE
from labs.watched.sheet import Sheet

SHEET = Sheet(Path(os.environ["LAB_SHEET"]))
GAUGE.on_change = SHEET.note_gauge
LAB: Any = import_module(os.environ["LAB_WATCHED"]).application
