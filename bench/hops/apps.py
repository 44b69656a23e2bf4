"""Finding the application that is to be traced: `mysite.asgi:application`, ASGI or WSGI, Django or not.

    python -m bench.hops.apps mysite.asgi:application

says which of the two it is, or in one sentence why it is neither.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.errors import LabError, UsageError, nearest

APP_VARIABLE = "LAB_TRACE_APP"
"""Names to `bench.hops.serving` the application that it is to trace."""


@dataclass(frozen=True)
class Application:
    """A callable with the interface that it speaks."""

    name: str
    call: Any
    interface: Literal["asgi", "wsgi"]


def load(name: str) -> Application:
    """Import `module:attribute`, looking in the current folder first; UsageError says in a sentence what is wrong."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"{name!r} does not name an application: write module:attribute, as mysite.asgi:application.")
    found: Any = _imported(module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{module_name} has no {attribute!r}: {nearest(attribute, _callables_in(found))}")
        found = getattr(found, part)
    return Application(name, found, interface_of(name, found))


def _imported(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(
                f"There is no module {error.name!r}, looking for {name} in the current folder and among what is "
                f"installed: start `lab trace` where manage.py is."
            ) from None
        raise UsageError(_why_not(name, error)) from None
    except Exception as error:  # whatever an import may run into
        raise UsageError(_why_not(name, error)) from None


def _why_not(name: str, error: Exception) -> str:
    said = " ".join(str(error).split())
    advice = "set DJANGO_SETTINGS_MODULE to your settings" if "DJANGO_SETTINGS_MODULE" in said else "mend that first"
    return f"{name} cannot be imported ({type(error).__name__}: {said.rstrip('.')}): {advice}."


def _callables_in(module: Any) -> list[str]:
    return [name for name, thing in vars(module).items() if callable(thing) and not name.startswith(("_", "get_"))]


def interface_of(name: str, application: Any) -> Literal["asgi", "wsgi"]:
    """ASGI where calling it makes a coroutine, else WSGI; UsageError for what takes neither's arguments."""
    if not callable(application):
        raise UsageError(f"{name} is a {type(application).__name__}, not an application: name the callable.")
    call = application if inspect.isroutine(application) else type(application).__call__
    is_async = inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(call)
    interface: Literal["asgi", "wsgi"] = "asgi" if is_async else "wsgi"
    takes = 3 if is_async else 2
    if isinstance(application, type) or not _can_take(application, takes):
        raise UsageError(
            f"{name} is not an application: it does not take {takes} arguments as {interface.upper()} callables do."
        )
    return interface


def _can_take(application: Any, arguments: int) -> bool:
    try:
        inspect.signature(application).bind(*range(arguments))
    except (TypeError, ValueError):
        return False
    return True


def main() -> None:
    try:
        print(load(sys.argv[1]).interface)
    except LabError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
