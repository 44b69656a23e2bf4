"""Says of an application which interface it has, and which servers its interpreter has for it.

In a process of its own: importing an application changes the process that does it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from .app_loader import load
from .child import answering

SERVERS = ("uvicorn", "daphne", "hypercorn")
SOCKETS = ("websockets", "wsproto")
"""What uvicorn needs for WebSockets, one of them."""


def main() -> None:
    """APP HIDDEN_FOLDER ANSWER.json"""
    app, hides, answer = sys.argv[1:4]
    with answering(app, Path(answer)) as write:
        application = load(app, hides)
        write({"interface": application.interface, "servers": servers()})


def servers() -> list[str]:
    """ASGI servers of this interpreter; uvicorn first where it can serve WebSockets, else last."""
    found = [name for name in SERVERS if find_spec(name)]
    if "uvicorn" in found and not any(map(find_spec, SOCKETS)):
        found = [*found[1:], "uvicorn"]
    return found
