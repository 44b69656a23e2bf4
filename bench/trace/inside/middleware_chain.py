"""The chain of middlewares as Django built it, read object by object from the handler that answered.

`BaseHandler.load_middleware` puts a function around each middleware, and around its own method that calls the view
(`convert_exception_to_response`), and an adapter of asgiref wherever one side is sync and the other async. A middleware
keeps the next function wherever it likes, so it is looked for in what the middleware refers to.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import CO_COROUTINE, iscoroutinefunction
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from .callable_names import innermost
from .model import HOOKS, Layer, Runs
from .sink import LAYER_CODES

DEEPEST, MOST = 8, 10_000
"""How far to look for the next function: references from a middleware to it, and objects on the way."""


@dataclass(frozen=True)
class Link:
    """One step of the chain: Django's function, what it calls (a middleware, or the handler's method), how it runs."""

    function: Any
    calls: Any
    is_async: bool


def mark_layers() -> None:
    """Let `sink.callers_of` know Django's functions around middlewares; nothing without Django."""
    LAYER_CODES.update(map(id, _codes()))


def _codes() -> list[CodeType]:
    """The code of the functions that `convert_exception_to_response` makes, the async one and the sync one."""
    module = sys.modules.get("django.core.handlers.exception")
    makes = getattr(module, "convert_exception_to_response", None)
    return [code for code in makes.__code__.co_consts if isinstance(code, CodeType)] if makes else []


def handlers() -> list[Any]:
    """Django's handlers in this process that have their middlewares."""
    base = getattr(sys.modules.get("django.core.handlers.base"), "BaseHandler", None)
    if base is None:
        return []
    return [one for one in gc.get_objects() if issubclass(type(one), base) and one._middleware_chain is not None]


def mode_of(handler: Any) -> str:
    """Whether the handler is `async`, as that of ASGI is, or `sync`."""
    return "async" if callable(handler) and iscoroutinefunction(type(handler).__call__) else "sync"


def links_of(handler: Any) -> list[Link]:
    """The chain, outermost first; the last calls the view. Shorter where a middleware hides what is inside of it."""
    found: list[Link] = []
    function = _next_function([handler._middleware_chain])
    while function is not None and len(found) < sys.getrecursionlimit():
        calls = function.__wrapped__
        found.append(Link(function, calls, is_async=bool(function.__code__.co_flags & CO_COROUTINE)))
        function = None if is_end(found[-1]) else _next_function(list(_referents([calls])))
    return found


def is_end(link: Link) -> bool:
    """Whether it calls the handler's own method, which calls the view."""
    return isinstance(link.calls, MethodType) and link.calls.__name__.startswith("_get_response")


def _next_function(nearest: Sequence[Any]) -> Any:
    """The nearest of Django's functions among these and what they refer to."""
    codes, seen = set(map(id, _codes())), set[int]()
    for _ in range(DEEPEST):
        nearest = [_adapted(one) for one in nearest]
        found = next((one for one in nearest if type(one) is FunctionType and id(one.__code__) in codes), None)
        if found is not None:
            return found
        seen.update(map(id, nearest))
        nearest = [one for one in _referents(nearest) if id(one) not in seen][:MOST]
    return None


def _adapted(thing: Any) -> Any:
    """What an adapter of asgiref calls: it carries a copy of all attributes of that, which lead further inside."""
    adapters = sys.modules["asgiref.sync"]
    if isinstance(thing, adapters.SyncToAsync):
        return thing.func
    return thing.awaitable if isinstance(thing, adapters.AsyncToSync) else thing


def _referents(things: Sequence[Any]) -> Iterator[Any]:
    """What they refer to, without classes, modules and the globals of functions, which lead everywhere."""
    for thing in things:
        its_globals = thing.__globals__ if type(thing) is FunctionType else None
        for one in gc.get_referents(thing):
            if one is not its_globals and not isinstance(one, type | ModuleType):
                yield one


def layers_of(links: Sequence[Link]) -> tuple[list[Layer], list[int]]:
    """The middlewares of the settings, outermost first, and for each link of the chain but the last its place there."""
    from django.conf import settings
    from django.utils.module_loading import import_string

    paths = list(settings.MIDDLEWARE)
    factories = [import_string(path) for path in paths]
    used = [link for link in links if not is_end(link)]
    places = _places(used, factories)
    link_at = dict(zip(places, used, strict=True))
    missing: Runs = "not used" if links and is_end(links[-1]) else "unknown"
    return [_layer(path, factories[place], link_at.get(place), missing) for place, path in enumerate(paths)], places


def _places(links: Sequence[Link], factories: Sequence[Any]) -> list[int]:
    """Which of the settings' entries made each link; those that raised MiddlewareNotUsed made none."""
    if len(links) == len(factories):
        return list(range(len(links)))
    places: list[int] = []
    for link in links:
        rest = range(places[-1] + 1 if places else 0, len(factories))
        spare = len(factories) - (len(links) - len(places))
        fitting = (place for place in rest if place <= spare and _made(factories[place], link.calls))
        places.append(next(fitting, min(rest.start, len(factories) - 1)))
    return places


def _made(factory: Any, middleware: Any) -> bool:
    """Whether calling the factory gives such a middleware."""
    if isinstance(factory, type):
        return isinstance(middleware, factory)
    code = getattr(innermost(factory), "__code__", None)
    return code is not None and getattr(innermost(middleware), "__code__", None) in code.co_consts


def _layer(path: str, factory: Any, link: Link | None, missing: Runs) -> Layer:
    from django.utils.deprecation import MiddlewareMixin

    is_mixin = isinstance(factory, type) and issubclass(factory, MiddlewareMixin)
    can_sync, can_async = getattr(factory, "sync_capable", True), getattr(factory, "async_capable", False)
    return Layer(
        path=path,
        capable="both" if can_sync and can_async else "async" if can_async else "sync",
        runs=missing if link is None else "async" if link.is_async else "sync",
        hooks=sum(hasattr(factory, hook) for hook in HOOKS) if is_mixin else 0,
    )
