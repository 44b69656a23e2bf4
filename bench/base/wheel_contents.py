"""Puts into a wheel what is kept beside the code: reference runs, lessons and the lock, in a folder `kept` of bench.

hatchling calls it, see pyproject.toml. An editable install has the clone itself.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KEPT = ("results/reference", "notebooks", "requirements.lock")


class WheelContents(BuildHookInterface):
    """Adds the folders and files of KEPT."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name what a standard wheel includes; an editable one nothing."""
        if version == "standard":
            build_data["force_include"] |= {name: f"bench/kept/{name}" for name in KEPT}
