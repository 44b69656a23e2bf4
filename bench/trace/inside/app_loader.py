"""Finding the application that is to be traced: `mysite.asgi:application`, ASGI or WSGI, Django or not."""

import functools
import importlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

LONGEST = 300
"""Characters of what an exception says."""
FAILED, USAGE, INVALID = 1, 2, 4
"""Exit codes, as in the README."""
Interface = Literal["asgi", "wsgi"]
ARGUMENTS: dict[Interface, int] = {"asgi": 3, "wsgi": 2}


class Refused(Exception):
    """The request cannot be sent: a sentence, the exit code, and for a misspelt name those that exist."""

    def __init__(self, sentence: str, exit_code: int = USAGE, word: str = "", known: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.exit_code, self.word, self.known = exit_code, word, known


def load_application(name: str, hides: str = "") -> tuple[Any, Interface]:
    """Import `module:attribute`, looking in the current folder first, and find its interface. Raises Refused."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise Refused(f"{name!r} does not name an application: write module:attribute, as mysite.asgi:application.")
    found: Any = _import(module_name, hides)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Refused(f"{module_name} has no {attribute!r}", word=attribute, known=_callables_in(found)) from None
        except Refused:
            raise
        except Exception as error:
            raise Refused(f"{name} cannot be read ({error_text(error)}): mend that first.") from None
    return found, interface_of(name, found)


def _import(name: str, hides: str) -> Any:
    here = str(Path.cwd())
    sys.path[:] = [here, *(folder for folder in sys.path if folder not in (here, hides))]
    try:
        return importlib.import_module(name)
    except BaseException as error:  # whatever an import may run into, sys.exit among it
        raise Refused(_why_not(name, error)) from None


def _why_not(name: str, error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"Importing {name} ends its process, which says {exit_text(error)}: mend that first."
    if not isinstance(error, ModuleNotFoundError):
        return f"{name} cannot be imported ({error_text(error)}): {_cure_of(error)}."
    if error.name and f"{name}.".startswith(f"{error.name}."):
        return (
            f"There is no module {error.name!r}, looking for {name} in the current folder and in {sys.executable}: "
            f"go to the folder where manage.py is."
        )
    return (
        f"{name} cannot be imported by {sys.executable} ({error_text(error)}): name the project's own interpreter "
        f"with --python, install what this one lacks, or set PYTHONPATH to the folder that has it."
    )


def _cure_of(error: BaseException) -> str:
    if "DJANGO_SETTINGS_MODULE" in str(error):
        return "set DJANGO_SETTINGS_MODULE to your settings"
    is_wanting = type(error).__name__ == "ImproperlyConfigured"
    return "mend that first, or set what it asks for" if is_wanting else "mend that first"


def error_text(error: BaseException) -> str:
    """`ValueError: what it says`, in one line and not without end."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:LONGEST]}{'…' * (len(said) > LONGEST)}".rstrip(": .")


def exit_text(error: SystemExit) -> str:
    """What a process says as it ends itself: its words in one line, or `status 3`."""
    said = " ".join(str(error.code).split())[:LONGEST]
    return repr(said) if isinstance(error.code, str) else f"status {said}"


def why_it_failed(error: BaseException) -> str:
    """What to say of whatever loading a project may raise."""
    return f"it ends its process, which says {exit_text(error)}" if isinstance(error, SystemExit) else error_text(error)


def _callables_in(module: Any) -> list[str]:
    return [name for name, thing in vars(module).items() if callable(thing) and not name.startswith(("_", "get_"))]


def interface_of(name: str, application: Any) -> Interface:
    """Find which interface it speaks as servers do: by the instance's `__call__`. Raises Refused for neither."""
    if not callable(application):
        raise Refused(f"{name} is a {type(application).__name__}, not an application: name the callable.")
    if isinstance(application, type):
        return _interface_of_class(name, application)
    interfaces: Sequence[Interface] = ("asgi",) if _is_async(application) else ("asgi", "wsgi")
    possible = [interface for interface in interfaces if _can_take(application, ARGUMENTS[interface])]
    if not possible:
        raise Refused(
            f"{name} is not an application: it takes neither an ASGI callable's 3 arguments nor a WSGI callable's 2."
        )
    return possible[0] if len(possible) == 1 else _interface_by_calling(application)


def _is_async(application: Any) -> bool:
    """Whether calling it makes a coroutine, as far as can be told without calling it."""
    while isinstance(application, functools.partial):
        application = application.func
    call = _called(application)
    return any(map(inspect.iscoroutinefunction, (application, call, inspect.unwrap(call))))


def _called(application: Any) -> Any:
    """What a call runs: of an instance the `__call__` that it has, which need not be its class's."""
    return application if inspect.isroutine(application) or isinstance(application, type) else application.__call__


def _interface_of_class(name: str, application: type) -> Interface:
    """Classes that are applications: what they make is awaited (ASGI) or iterated over (WSGI, PEP 3333)."""
    methods: dict[Interface, str] = {"asgi": "__await__", "wsgi": "__iter__"}
    for interface, method in methods.items():
        if hasattr(application, method) and _can_take(application, ARGUMENTS[interface]):
            return interface
    raise Refused(f"{name} is a class, not an application: name an instance of it, or wrap it as your server does.")


def _interface_by_calling(application: Any) -> Interface:
    """Call it as a server's start-up would; a coroutine that comes of it is closed before it begins."""
    try:
        answer = application({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, None, None)
    except Exception:
        return "wsgi"
    if inspect.iscoroutine(answer):
        answer.close()
    return "asgi" if inspect.isawaitable(answer) else "wsgi"


def _can_take(application: Any, arguments: int) -> bool:
    """Whether it can be called with so many arguments; True where it does not say, as compiled code may not."""
    try:
        signature = inspect.signature(_called(application))
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*range(arguments))
    except TypeError:
        return False
    return True
