"""The middlewares of the Django project in this process, and what causes each hop of a request through them."""

from __future__ import annotations

import platform
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from .callable_names import innermost
from .middleware_chain import Link, handlers, is_end, layers_of, links_of, mode_of
from .model import DJANGO, VIEW, Hop, Layer
from .sink import LAYER_CODES, OpenHop

PYTHON = {"python": platform.python_version()}
HANDLERS = ("django/core/handlers/", "django/dispatch/", "django/http/response.py")
"""Where Django itself asks for hops that belong to no middleware and no view."""
ANSWERS_EXCEPTIONS = "django/core/handlers/exception.py"
"""Where Django asks for its own answer to an exception, whatever raised it."""


class Cause(NamedTuple):
    """What a hop is owed to: VIEW, DJANGO, or the path of a middleware with its place in the table."""

    name: str
    layer: int | None = None


class Layers:
    """The layers of one handler, outermost first; none without Django."""

    def __init__(
        self, layers: Sequence[Layer] = (), links: Sequence[Link] = (), places: Sequence[int] = (), base: str = "async"
    ) -> None:
        self.layers, self.links, self.places, self.base = list(layers), list(links), list(places), base
        self.versions = PYTHON | versions()
        self.by_function = {id(link.function): number for number, link in enumerate(links)}
        self.by_object = {id(link.calls): number for number, link in enumerate(links) if not is_end(link)}

    def cause_of(self, hop: OpenHop, above: Hop | None) -> Cause:
        """What the hop is owed to.

        A call of a middleware's own method is the middleware's, and a crossing in the chain is that of the middleware
        which cannot run on the other side. Of other calls: of what they are made in.
        """
        if _is_asked_in(hop, ANSWERS_EXCEPTIONS):
            return Cause(DJANGO)
        target = innermost_of_django(hop.target)
        number = self.by_object.get(id(getattr(target, "__self__", None)))
        if number is None and (crossing := self.by_function.get(id(target))) is not None:
            number = self._divides(crossing)
        if number is None and hop.within is not None:
            number = self.by_object.get(id(hop.within))
            if number is None:
                return Cause(VIEW)
        if number is not None:
            place = self.places[number]
            return Cause(self.layers[place].path, place)
        if above is not None:
            return Cause(above.cause, above.layer)
        return Cause(DJANGO if _is_asked_in(hop, *HANDLERS) else VIEW)

    def _divides(self, number: int) -> int | None:
        """The middleware on whose account there is a crossing into a link.

        On the way from the handler's own mode: the first from there on that knows the other mode alone. On the way
        back: the one around it.
        """
        if self._mode(number) == self.base:
            return number - 1 if number else None
        for place in range(number, len(self.places)):
            if self.layers[self.places[place]].capable not in (self.base, "both"):
                return place
        return None

    def _mode(self, number: int) -> str:
        return "async" if self.links[number].is_async else "sync"

    def with_hops(self, hops: Sequence[Hop]) -> list[Layer]:
        """The layers, each with the number of hops it causes."""
        counts = Counter(hop.layer for hop in hops)
        return [replace(layer, hops=counts[place]) for place, layer in enumerate(self.layers)]


def innermost_of_django(target: Any) -> Any:
    """The target itself where it is a function of the chain; else what decorators were put around."""
    return target if id(getattr(target, "__code__", None)) in LAYER_CODES else innermost(target)


def _is_asked_in(hop: OpenHop, *files: str) -> bool:
    """Whether what asks, or in a task what is asked for, stands in one of these files or folders."""
    code = hop.asked_by[0] if hop.asked_by else getattr(innermost(hop.target), "__code__", None)
    return code is not None and any(file in code.co_filename for file in files)


def layers_of_django(interface: str, hops: Sequence[OpenHop]) -> Layers:
    """Those of the handler that answered: the one whose middlewares the hops name, of that interface."""
    targets = {id(thing) for hop in hops for thing in (hop.within, *_things(hop.target))}
    base = "async" if interface == "asgi" else "sync"
    chains = [links for one in handlers() if mode_of(one) == base and (links := links_of(one))]
    if not chains:
        return Layers()
    links = max(
        chains, key=lambda links: sum(id(thing) in targets for link in links for thing in (link.function, link.calls))
    )
    layers, places = layers_of(links)
    return Layers(layers, links, places, base)


def _things(target: Any) -> tuple[Any, Any]:
    target = innermost_of_django(target)
    return target, getattr(target, "__self__", None)


def versions() -> dict[str, str]:
    """Of asgiref and Django, where they are loaded."""
    found = {}
    for name in ("asgiref", "django"):
        module = sys.modules.get(name)
        if module is not None:
            found[name] = module.get_version() if name == "django" else module.__version__
    return found
