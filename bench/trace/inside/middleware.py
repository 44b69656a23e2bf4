"""How a middleware gets its hops: each hop has one cause, and the hops that one middleware causes are counted.

1. `middleware_chain.py` reads the chain that Django built: which function calls which middleware, sync or async.
2. `sink.py` notes of each hop what it calls (`target`) and in which middleware it was asked for (`within`).
3. `Layers.cause_of` decides from the two, and `Layers.with_hops` counts. `collector.py` calls both.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import Any

from .callable_names import innermost
from .middleware_chain import Link, handlers, mark_layers, read_chain, read_layers
from .model import DJANGO, VIEW, Hop, Layer, Runs
from .sink import LAYER_CODES, OpenHop

HANDLERS = ("django/core/handlers/", "django/dispatch/", "django/http/response.py")
"""Where Django itself asks for hops that belong to no middleware and no view."""
ANSWERS_EXCEPTIONS = "django/core/handlers/exception.py"
"""Where Django asks for its own answer to an exception, whatever raised it."""
Cause = tuple[str, int | None]
"""What a hop is owed to: VIEW, DJANGO, or the path of a middleware with its place in the table."""


class Layers:
    """The middlewares of the handler that answered, and what decides which of them a hop belongs to: `cause_of`.

    `layers` are the entries of the settings, outermost first, and `links` the chain that Django built of them.
    `base` is how the handler itself runs: async behind ASGI.
    """

    def __init__(self, layers: Sequence[Layer] = (), links: Sequence[Link] = (), base: Runs = "async") -> None:
        self.layers, self.links, self.base = layers, links, base
        self.by_function = {id(link.function): number for number, link in enumerate(links)}
        self.by_object = {id(link.calls): link.place for link in links if not link.is_end}

    def cause_of(self, hop: OpenHop, around: Hop | None) -> Cause:
        """Decide what the hop is owed to; `around` is the hop on whose far side it was asked for.

        A call of a middleware's own method is the middleware's. A crossing in the chain is that of the middleware which
        cannot run on the other side. Other calls belong to the middleware or the view in which they are made.
        """
        if _is_asked_in(hop, ANSWERS_EXCEPTIONS):
            return DJANGO, None
        target, owner = _called(hop)
        place = self.by_object.get(id(owner))
        if place is None and id(target) in self.by_function:
            place = self._divider(self.by_function[id(target)])
        if place is None and hop.within is not None:
            place = self.by_object.get(id(hop.within))
            if place is None:
                return VIEW, None
        if place is not None:
            return self.layers[place].path, place
        if around is not None:
            return around.cause, around.layer
        return (DJANGO if _is_asked_in(hop, *HANDLERS) else VIEW), None

    def _divider(self, number: int) -> int | None:
        """The place of the middleware on whose account there is a crossing into a link; None for the handler's own.

        On the way from the handler's own mode: the first from there on that knows the other mode alone. On the way
        back: the one around it.
        """
        if self.links[number].runs == self.base:
            return self.links[number - 1].place if number else None
        places = (link.place for link in self.links[number:] if link.place is not None)
        return next((place for place in places if self.layers[place].capable not in (self.base, "both")), None)

    def with_hops(self, hops: Sequence[Hop]) -> list[Layer]:
        """The middlewares, each with the number of hops it causes."""
        counts = Counter(hop.layer for hop in hops)
        return [replace(layer, hops=counts[place]) for place, layer in enumerate(self.layers)]


NO_LAYERS = Layers()
"""Those of an application without Django."""


def _called(hop: OpenHop) -> tuple[Any, Any]:
    """The function that the hop calls, without what decorators put around it, and the object whose method it is."""
    is_link = id(getattr(hop.target, "__code__", None)) in LAYER_CODES
    target = hop.target if is_link else innermost(hop.target)
    return target, getattr(target, "__self__", None)


def _is_asked_in(hop: OpenHop, *files: str) -> bool:
    """Whether what asks, or in a task what is asked for, stands in one of these files or folders."""
    code = hop.asked_by[0] if hop.asked_by else getattr(innermost(hop.target), "__code__", None)
    return code is not None and any(file in code.co_filename for file in files)


def layers_of_django(interface: str, hops: Sequence[OpenHop]) -> Layers:
    """Read the middlewares of the handler that answered: of those with that interface the one that the hops name."""
    mark_layers()  # Django may have been imported since
    named = {id(thing) for hop in hops for thing in (hop.within, *_called(hop))}
    is_async = interface == "asgi"
    chains = [read_chain(one) for one in handlers() if iscoroutinefunction(type(one).__call__) == is_async]
    links = max(
        chains,
        key=lambda links: sum(id(thing) in named for link in links for thing in (link.function, link.calls)),
        default=[],
    )
    return Layers(*read_layers(links), "async" if is_async else "sync") if links else NO_LAYERS
