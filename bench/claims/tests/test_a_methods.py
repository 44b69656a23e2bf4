"""The a-methods that are read in Django's sources are those that importing it finds; what is kept is in order.

    python -m bench.claims.tests.test_a_methods

imports the installed Django and prints [[place, name], ...] and the modules that cannot be imported here, as JSON.
"""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import django
import pytest

from bench.base.files import ROOT
from bench.claims.exhibits import a_methods
from bench.claims.exhibits.a_methods import Method

ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def main() -> None:
    django.setup()
    found: set[tuple[str, str]] = set()
    absent: list[str] = []
    infos = pkgutil.walk_packages(django.__path__, "django.", lambda _: None)
    # Formats of dates are a quarter of all modules and hold no function.
    for name in sorted({info.name for info in infos if ".locale." not in info.name}):
        try:
            module = importlib.import_module(name)
        except Exception:  # a driver or a library that is not here: the reader says which, and compares the rest
            absent.append(name.removeprefix("django."))
        else:
            found.update(imported_methods(module))
    print(json.dumps([sorted(found), absent]))


def imported_methods(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Of what the module defines itself: its functions, its classes' methods, and classes made in functions."""
    place = module.__name__.removeprefix("django.")
    for code in codes_of(module, module.__name__):
        if code.co_flags & ASYNC and a_methods.is_a_name(code.co_name):
            scope, _, name = code.co_qualname.replace(".<locals>", "").rpartition(".")
            yield f"{place}.{scope}" if scope else place, name


def codes_of(scope: Any, module: str) -> Iterator[CodeType]:
    for value in map(plain, list(vars(scope).values())):
        if isinstance(value, FunctionType | type) and value.__module__ == module and value is not scope:
            if isinstance(value, type):
                yield from codes_of(value, module)
            else:
                yield value.__code__
                yield from codes_in(value.__code__)


def plain(value: Any) -> Any:
    """The function in a property, a class method or a decorator; None for what is no function and no class."""
    # By type(): a lazy object of Django's would be made by isinstance.
    if issubclass(type(value), property):
        return value.fget
    if issubclass(type(value), classmethod | staticmethod):
        return value.__func__
    return inspect.unwrap(value) if issubclass(type(value), FunctionType | type) else None


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Methods of the classes that a function makes: a class body's code is no function's."""
    for inner in code.co_consts:
        if not isinstance(inner, CodeType):
            continue
        if not inner.co_flags & inspect.CO_NEWLOCALS:
            yield from (method for method in inner.co_consts if isinstance(method, CodeType))
        yield from codes_in(inner)


def test_importing_django_finds_the_a_methods_that_its_sources_have() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "bench.claims.tests.test_a_methods"]
    environment = {"DJANGO_SETTINGS_MODULE": "labs.traps.settings"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found, absent = json.loads(done.stdout)
    imported = {Method(place, name) for place, name in found}
    read = {
        method
        for method in a_methods.methods_in(a_methods.sources_of_installed())
        if not any(f"{method.place}.".startswith(f"{module}.") for module in absent)
    }
    assert imported == read
    assert Method("db.models.query.QuerySet", "aget") in imported
    assert {method.area for method in imported} >= {"querysets", "models", "related managers", "sessions", "cache"}


def test_the_kept_list_has_the_installed_django_as_it_is() -> None:
    kept = a_methods.load()
    version = next((v for v, exact in kept["versions"].items() if exact == django.get_version()), None)
    if version is None:
        pytest.skip(f"Django {django.get_version()} is not in the kept list")
    of_version = {Method(m["place"], m["name"]) for m in kept["methods"] if version in m["versions"]}
    assert of_version == a_methods.methods_in(a_methods.sources_of_installed())


def test_a_method_of_a_class_counts_and_a_function_in_a_function_does_not() -> None:
    source = """
async def aone(): ...
def one(): ...
async def other(): ...
async def _aprivate(): ...
def make():
    if True:
        async def ahidden(): ...
    class Made:
        async def atwo(self): yield 1
"""
    assert a_methods.methods_in({"m": source}) == {Method("m", "aone"), Method("m.make.Made", "atwo")}


def test_saving_came_a_version_after_the_querysets_methods() -> None:
    first: dict[tuple[str, str], str] = {}
    for method in a_methods.load()["methods"]:
        key = method["area"], method["name"]
        first[key] = min(first.get(key, "9.9"), method["versions"][0])
    assert first["querysets", "aget"] == "4.1"
    assert first["models", "asave"] == "4.2"
    assert {version for (area, _), version in first.items() if area == "cache"} == {"4.0"}


def test_no_version_lets_a_connection_be_used_on_a_loop() -> None:
    for unsafe in a_methods.load()["unsafe_without_twin"].values():
        assert {"cursor", "commit", "rollback"} <= set(unsafe)


if __name__ == "__main__":
    main()
