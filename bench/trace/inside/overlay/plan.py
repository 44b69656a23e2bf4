"""What `lab try` has decided about a project, as a file that its processes read."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "LAB_TRY_PLAN"
"""The environment variable with the path of the file."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Plan:
    """How a project is run.

    `settings`: its module; empty where the application configures Django itself. `wsgi`, `asgi`: `module:attribute`;
    empty for what the settings name, else Django's own. `hides`: a folder that it is not to import from. `packages`: a
    folder that it imports from last. `databases`: by alias, what is different in a copy. `without`: `throttles`,
    `caches`. `prefix`: of cache keys. `folder`: for files. `media`: a folder in the place of
    MEDIA_ROOT; empty for the project's own.
    `allows_network`: connections off this machine are let through. `logs_in`: requests have a session of a user.
    `what_if`: which of the lab's handlers, from the folder `labs`, serves it behind ASGI, with `threads` in its pool if
    it has one; empty for the project's own. `is_measured`: nothing is noted of requests.
    """

    settings: str
    wsgi: str = ""
    asgi: str = ""
    hides: str = ""
    packages: str = ""
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    prefix: str = "lab"
    folder: str = ""
    media: str = ""
    allows_network: bool = False
    logs_in: bool = False
    what_if: str = ""
    labs: str = ""
    threads: int = 16
    is_measured: bool = False


def read_plan() -> Plan:
    """Read the plan that the environment names."""
    return Plan(**json.loads(Path(os.environ[VARIABLE]).read_text()))
