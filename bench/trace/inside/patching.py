"""Attributes of other people's classes and modules, replaced for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def patched(owner: Any, **attributes: Any) -> Iterator[None]:
    """Replace attributes that the owner has, those that it lacks are left out; in the end it has its own again."""
    own = {name: getattr(owner, name) for name in attributes if hasattr(owner, name)}
    try:
        for name in own:
            setattr(owner, name, attributes[name])
        yield
    finally:
        for name, value in own.items():
            setattr(owner, name, value)
