"""The chain of middlewares as Django built it, read object by object from a handler.

`BaseHandler.load_middleware` puts a function around each middleware, and around its own method that calls the view
(`convert_exception_to_response`), and an adapter of asgiref wherever one side is sync and the other async. A middleware
keeps the next function wherever it likes, so it is looked for in what the middleware refers to.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from inspect import CO_COROUTINE
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from .callable_names import innermost
from .model import HOOKS, Layer, Runs
from .sink import LAYER_CODES

DEEPEST, MOST = 9, 10_000
"""How far to look for the next function: references from a middleware to it, and objects on the way."""


@dataclass(frozen=True)
class Link:
    """One step of the chain: Django's function, what it calls (a middleware, or the handler's method), how it runs.

    `place` is that of the middleware in the settings; None for the last link, which calls the view.
    """

    function: Any
    calls: Any
    runs: Runs
    place: int | None = None

    @property
    def is_end(self) -> bool:
        """Whether it calls the handler's own method, which calls the view."""
        return isinstance(self.calls, MethodType) and self.calls.__name__.startswith("_get_response")


def mark_layers() -> None:
    """Let `sink.layer_around` know the functions that Django puts around middlewares; nothing without Django."""
    module = sys.modules.get("django.core.handlers.exception")
    makes = getattr(module, "convert_exception_to_response", None)
    if makes:  # it makes two functions, an async one and a sync one
        LAYER_CODES.update(id(code) for code in makes.__code__.co_consts if isinstance(code, CodeType))


def handlers() -> list[Any]:
    """Django's handlers in this process that have their middlewares."""
    base: Any = getattr(sys.modules.get("django.core.handlers.base"), "BaseHandler", None)
    objects = gc.get_objects() if base else []
    return [one for one in objects if issubclass(type(one), base) and one._middleware_chain is not None]


def read_chain(handler: Any) -> list[Link]:
    """The chain, outermost first; the last calls the view. Shorter where a middleware hides what is inside of it."""
    links: list[Link] = []
    function = _next_function(handler._middleware_chain)
    while function is not None and len(links) < sys.getrecursionlimit():
        runs: Runs = "async" if function.__code__.co_flags & CO_COROUTINE else "sync"
        links.append(Link(function, function.__wrapped__, runs))
        function = None if links[-1].is_end else _next_function(links[-1].calls)
    return links


def _next_function(thing: Any) -> Any:
    """The nearest of Django's functions: the thing itself, or one that it refers to, directly or not."""
    nearest, seen = [thing], set[int]()
    for _ in range(DEEPEST):
        nearest = [_adapted(one) for one in nearest]
        for one in nearest:
            if type(one) is FunctionType and id(one.__code__) in LAYER_CODES:
                return one
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


def read_layers(links: Sequence[Link]) -> tuple[list[Layer], list[Link]]:
    """The middlewares of the settings, outermost first, and the links, each but the last with its place there."""
    from django.conf import settings
    from django.utils.module_loading import import_string

    factories = [import_string(path) for path in settings.MIDDLEWARE]
    used = [link for link in links if not link.is_end]
    placed = [replace(link, place=place) for link, place in zip(used, _places(used, factories), strict=True)]
    missing: Runs = "not used" if len(used) < len(links) else "unknown"
    runs = {link.place: link.runs for link in placed}
    layers = [
        _layer(path, factory, runs.get(place, missing))
        for place, (path, factory) in enumerate(zip(settings.MIDDLEWARE, factories, strict=True))
    ]
    return layers, [*placed, *links[len(used) :]]


def _places(links: Sequence[Link], factories: Sequence[Any]) -> list[int]:
    """Which of the settings' entries made each link; those that raised MiddlewareNotUsed made none."""
    if len(links) == len(factories):
        return list(range(len(links)))
    places: list[int] = []
    for link in links:
        rest = range(places[-1] + 1 if places else 0, len(factories))
        spare = len(factories) - (len(links) - len(places))
        fitting = (place for place in rest if place <= spare and _has_made(factories[place], link.calls))
        places.append(next(fitting, min(rest.start, len(factories) - 1)))
    return places


def _has_made(factory: Any, middleware: Any) -> bool:
    """Whether calling the factory gives such a middleware."""
    if isinstance(factory, type):
        return isinstance(middleware, factory)
    code = getattr(innermost(factory), "__code__", None)
    return code is not None and getattr(innermost(middleware), "__code__", None) in code.co_consts


def _layer(path: str, factory: Any, runs: Runs) -> Layer:
    from django.utils.deprecation import MiddlewareMixin

    is_mixin = isinstance(factory, type) and issubclass(factory, MiddlewareMixin)
    can_sync, can_async = getattr(factory, "sync_capable", True), getattr(factory, "async_capable", False)
    return Layer(
        path=path,
        capable="both" if can_sync and can_async else "async" if can_async else "sync",
        runs=runs,
        hooks=sum(hasattr(factory, hook) for hook in HOOKS) if is_mixin else 0,
    )
