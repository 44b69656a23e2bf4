"""Where in the project something was asked for: the nearest line of the project on the stack."""

import sys
from types import FrameType

from ..callable_names import short_path
from ..whose_file import is_project

UNKNOWN = "of an unknown place"


def project_line(frame: FrameType | None = None) -> str:
    """`blog/views.py:12`, from the project's folder on: the innermost line of the project; UNKNOWN without one."""
    frame = frame or sys._getframe(1)
    while frame is not None:
        if is_project(frame.f_code.co_filename):
            return f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return UNKNOWN
