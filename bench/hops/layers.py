"""The middlewares of a Django project as its handler runs them, which hops each causes, and what could be done.

Django decides from the inside out (`BaseHandler.load_middleware`): a layer that can be sync is run sync where what is
inside of it is sync, else async where it can be. Where two neighbours differ, one crossing goes in between.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import asgiref

from bench.hops.names import innermost, path_of
from bench.hops.trace import Hop, Kind, Layer

MIXIN_HOOKS = ("process_request", "process_response")


class Layers:
    """The layers of the project that is loaded in this process, outermost first; none without Django."""

    def __init__(self, layers: Sequence[Layer] = (), versions: dict[str, str] | None = None) -> None:
        self.layers = list(layers)
        self.versions = versions or {"python": platform.python_version(), "asgiref": asgiref.__version__}

    def cause_of(self, kind: Kind, target: Any, above: Hop | None) -> str | None:
        """The path of the middleware on whose account there is a hop to `target`; None where there is none.

        A crossing into a layer that could be async is owed to the sync-only one further inside; the way back to the
        loop to whoever made the way there.
        """
        inner = innermost(target)
        paths = [layer.path for layer in self.layers]
        owner = getattr(inner, "__self__", None)
        if owner is not None and path_of(owner) in paths:
            return path_of(owner)
        if kind == "async_to_sync":
            return above.middleware if above else None
        if path_of(inner) not in paths:
            return None
        inside = self.layers[paths.index(path_of(inner)) :]
        return next((layer.path for layer in inside if layer.capable == "sync"), path_of(inner))

    def with_hops(self, hops: Sequence[Hop]) -> list[Layer]:
        """The layers, each with the number of hops it caused."""
        counts = Counter(hop.middleware for hop in hops)
        return [replace(layer, hops=counts[layer.path]) for layer in self.layers]


def layers_of_django(interface: Literal["asgi", "wsgi"]) -> Layers:
    """Read from the settings in force; empty where no Django is set up here."""
    try:
        import django
        from django.conf import settings
        from django.utils.module_loading import import_string
    except ImportError:
        return Layers()
    if not settings.configured:
        return Layers()
    plain = Layers()
    versions = plain.versions | {"django": django.get_version()}
    found, inside_is_async = list[Layer](), interface == "asgi"
    for path in reversed(settings.MIDDLEWARE):
        layer = _layer(path, import_string(path), inside_is_async)
        inside_is_async = layer.runs == "async"
        found.insert(0, layer)
    return Layers(found, versions)


def _layer(path: str, middleware: Any, inside_is_async: bool) -> Layer:
    from django.utils.deprecation import MiddlewareMixin

    can_sync = getattr(middleware, "sync_capable", True)
    can_async = getattr(middleware, "async_capable", False)
    is_async = can_async and (inside_is_async or not can_sync)
    return Layer(
        path=path,
        capable="both" if can_sync and can_async else "async" if can_async else "sync",
        runs="async" if is_async else "sync",
        is_mixin=isinstance(middleware, type) and issubclass(middleware, MiddlewareMixin),
    )


def advice_on(hops: Sequence[Hop], layers: Sequence[Layer], interface: str) -> list[str]:
    """What could be done about the hops, a sentence each; none where nothing speaks for a change."""
    return [*_fold(hops, layers), *_islands(layers), *_loop_per_request(hops, interface), *_one_by_one(hops)]


def _fold(hops: Sequence[Hop], layers: Sequence[Layer]) -> list[str]:
    mixins = {layer.path for layer in layers if layer.is_mixin and layer.runs == "async"}
    count = sum(hop.middleware in mixins and hop.what.endswith(MIXIN_HOOKS) for hop in hops)
    if count < 3:
        return []
    return [
        f"These {count} hops come from MiddlewareMixin, which sends process_request and process_response to a thread "
        f"one by one: a sync-only middleware placed innermost would fold them into 1, and 1 back to an async view."
    ]


def _islands(layers: Sequence[Layer]) -> list[str]:
    """Sync-only layers with something async on both sides."""
    found = []
    for place, layer in enumerate(layers):
        inside = layers[place + 1 :]
        is_outer = place == 0 or layers[place - 1].runs == "async"
        if layer.capable == "sync" and is_outer and any(other.runs == "async" for other in inside):
            found.append(
                f"{layer.path} is sync-only and stands around async layers: each request goes to a thread for it and "
                f"comes back ({layer.hops} hops). Give it an async half, or place it innermost."
            )
    return found


def _loop_per_request(hops: Sequence[Hop], interface: str) -> list[str]:
    if interface != "wsgi" or not any(hop.kind == "async_to_sync" for hop in hops):
        return []
    return [
        "Async code under WSGI gets an event loop and a thread of its own in every request: serve it through ASGI, "
        "or make it sync."
    ]


def _one_by_one(hops: Sequence[Hop]) -> list[str]:
    calls = [hop for hop in hops if hop.kind == "sync_to_async" and hop.what.startswith(("QuerySet.", "Model."))]
    if len(calls) < 3:
        return []
    return [
        f"{len(calls)} hops are single ORM calls: one sync function with all of them, called through sync_to_async, "
        f"makes one hop of them."
    ]
