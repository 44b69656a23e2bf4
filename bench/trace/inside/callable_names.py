"""What to call a callable that asgiref runs: by `__qualname__`, never by `repr`, which can run a query."""

import functools
import sys
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

SIGNALS = "django.dispatch.dispatcher"
MOST_WRAPPERS = 20
LONGEST_PATH = 2
"""Parts of a file's path that are shown."""


def innermost(target: Any) -> Any:
    """What decorators and partials were put around; a bound method as it is, for it knows its object."""
    for _ in range(MOST_WRAPPERS):
        is_partial = isinstance(target, functools.partial)
        wrapped = target.func if is_partial else getattr(target, "__wrapped__", None)
        if wrapped is None or isinstance(target, MethodType):
            break
        target = wrapped
    return target


def name_of(target: Any) -> str:
    """`SessionMiddleware.process_request`, `hello`: as where it is defined; for receivers `signal request_started`."""
    inner = innermost(target)
    if (signal := _signal_of(inner)) is not None:
        return f"signal {_name_of_signal(signal)}"
    owner, name = getattr(inner, "__self__", None), getattr(inner, "__qualname__", None)
    if name and owner is not None and not isinstance(owner, type | ModuleType):
        return f"{type(owner).__qualname__}.{name.rpartition('.')[2]}"  # of the subclass, not where it inherits it
    return name or type(inner).__qualname__


def _signal_of(function: Any) -> Any:
    """The signal of Django's whose method this is, or in whose method it was made; None of any other function."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = dict(zip(names, getattr(function, "__closure__", None) or (), strict=True))
    try:
        owner = cells["self"].cell_contents if "self" in cells else getattr(function, "__self__", None)
    except ValueError:  # an empty cell
        return None
    return owner if any(kind.__module__ == SIGNALS for kind in type(owner).__mro__) else None


def _name_of_signal(signal: Any) -> str:
    """The name under which a module of signals has it, by identity."""
    modules = [module for name, module in list(sys.modules.items()) if "signal" in name]
    named = (name for module in modules for name, value in list(vars(module).items()) if value is signal)
    return next(named, "without a name")


def short_path(name: str) -> str:
    """The path of a file from the last `site-packages` or the current folder on; else the end of it."""
    path = Path(name)
    parts = path.parts
    if "site-packages" in parts:
        return "/".join(parts[len(parts) - parts[::-1].index("site-packages") :])
    is_here = path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if is_here else "/".join(parts[-LONGEST_PATH:])
