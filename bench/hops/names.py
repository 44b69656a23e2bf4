"""What to call a callable that asgiref runs: by `__qualname__`, never by `repr`, which can run a query."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

MOST_WRAPPERS = 20


def innermost(target: Any) -> Any:
    """What decorators and partials were put around."""
    for _ in range(MOST_WRAPPERS):
        if isinstance(target, functools.partial):
            target = target.func
        elif (wrapped := getattr(target, "__wrapped__", None)) is not None:
            target = wrapped
        else:
            break
    return target


def name_of(target: Any) -> str:
    """`SessionMiddleware.process_request`, `hello`, `Signal.asend.<locals>.sync_send`: as where it is defined."""
    inner = innermost(target)
    owner, name = getattr(inner, "__self__", None), getattr(inner, "__qualname__", None)
    if name and owner is not None and not isinstance(owner, type | ModuleType):
        return f"{type(owner).__qualname__}.{name.rpartition('.')[2]}"  # of the subclass, not where it inherits it
    return name or type(inner).__qualname__


def path_of(thing: Any) -> str:
    """Dotted path of a class, of an object's class, or of the outermost function around a function."""
    if hasattr(thing, "__code__"):
        return f"{thing.__module__}.{thing.__qualname__.partition('.')[0]}"
    kind = thing if isinstance(thing, type) else type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"
