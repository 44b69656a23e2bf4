"""What could be done about the hops of a request: one sentence each, none where nothing speaks for a change."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from .model import DJANGO, HOOKS, VIEW, Hop, Layer, Trace

ORM = "django/db/"
HANDLERS = "django/core/handlers/"
"""What asks for the view, the rendering of its answer, and the like: behind WSGI none of it is a hop."""
OWN_WAY = " and 1 from the sync view", "1 back to the loop and 1 more to the view"
FEW = 3
"""Fewer hops than this are no reason to change a project."""


def advice_on(trace: Trace) -> list[str]:
    """Sentences about a request that was answered as meant; of another one its hops say nothing."""
    if trace.status is None or trace.status >= 300:
        return []
    ways = (_behind_wsgi, _fold, _islands, _loop_per_request, _orm_calls, _serial)
    return [sentence for way in ways for sentence in way(trace)]


def _behind_wsgi(trace: Trace) -> Iterator[str]:
    """A project without async code has no use for a loop."""
    own = [hop for hop in trace.hops if hop.cause == VIEW and not hop.asked_by.startswith(HANDLERS)]
    if trace.interface == "asgi" and sync_view(trace) and not own and not _has_async_code(trace.middleware):
        yield "This project has no async view and no async-only middleware: behind WSGI this request makes no hop."


def sync_view(trace: Trace) -> Hop | None:
    """The hop on which Django sends a sync view to a thread; None where there is none."""
    return next((hop for hop in trace.hops if _is_way_to_view(hop)), None)


def _is_way_to_view(hop: Hop) -> bool:
    is_called_by_handler = hop.asked_by.endswith("_get_response_async")
    return (
        hop.cause == VIEW and hop.kind == "sync_to_async" and is_called_by_handler and not hop.what.endswith(".render")
    )


def _has_async_code(layers: Sequence[Layer]) -> bool:
    """Whether a middleware knows async alone, or any view of the project is async."""
    return any(layer.capable == "async" for layer in layers) or any(map(_is_async_view, views()))


def _is_async_view(view: Any) -> bool:
    return inspect.iscoroutinefunction(view) or bool(getattr(getattr(view, "view_class", None), "view_is_async", False))


def views() -> Iterator[Any]:
    """Every view of the project's URLs; none where they cannot be read."""
    urls = sys.modules.get("django.urls")
    try:
        yield from _views_in(urls.get_resolver().url_patterns) if urls else ()
    except Exception:  # the project's own, which has answered the request without them
        return


def _views_in(patterns: Sequence[Any]) -> Iterator[Any]:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _views_in(pattern.url_patterns)
        else:
            yield pattern.callback


def _fold(trace: Trace) -> Iterator[str]:
    """Hops of MiddlewareMixin, which one sync-only middleware inside of them all would make one."""
    count = _hook_hops(trace, range(len(trace.middleware)))
    if count < FEW or trace.interface != "asgi":
        return
    own, after = ("", "1 back to the async view") if sync_view(trace) is None else OWN_WAY
    yield (
        f"{count} hops come from MiddlewareMixin{own}. Django makes one for each process_request and process_response. "
        f"With a sync-only middleware innermost there is 1 hop to a thread for all of them, {after}. That thread is "
        f"then held while the view waits."
    )


def _hook_hops(trace: Trace, places: Collection[int]) -> int:
    """The hops for hooks of MiddlewareMixin that the middlewares in these places make."""
    return sum(hop.layer in places and hop.what.endswith(HOOKS) for hop in trace.hops)


def _islands(trace: Trace) -> Iterator[str]:
    """Sync-only middlewares with something async inside of them, each stretch of sync layers once."""
    comes_back = {hop.layer for hop in trace.hops if hop.kind == "async_to_sync"}
    used = [place for place, layer in enumerate(trace.middleware) if layer.runs in ("sync", "async")]
    stretch: list[int] = []
    for number, place in enumerate(used):
        if trace.middleware[place].runs == "sync":
            stretch.append(place)
        elif trace.interface == "asgi" and comes_back.intersection(stretch):
            yield _island(trace, stretch, used[number:])
            stretch = []


def _island(trace: Trace, stretch: Sequence[int], inside: Sequence[int]) -> str:
    """A stretch of layers that run sync because of sync-only ones among them, around some that run async."""
    layers = trace.middleware
    sync_only = [layers[place] for place in stretch if layers[place].capable == "sync"]
    names, hops = " and ".join(layer.path for layer in sync_only), sum(layer.hops for layer in sync_only)
    is_one = len(sync_only) == 1
    can_fold = all(layers[place].capable != "async" for place in inside)
    innermost = _hook_hops(trace, inside) if can_fold else 0
    with_half = hops - sum(layers[place].hooks for place in stretch)
    saves = [("Placed innermost", innermost), ("With an async half" if is_one else "With async halves", with_half)]
    cures = [f"{how}, {'it saves' if is_one else 'they save'} {_hops(saved)}." for how, saved in saves if saved > 0]
    return (
        f"{names} {'is' if is_one else 'are'} sync-only and around async middlewares: each request goes to a thread "
        f"for {'it' if is_one else 'them'} and comes back ({_hops(hops)}). {' '.join(cures)}"
    ).rstrip()


def _hops(count: int) -> str:
    return f"{count} hop{'' if count == 1 else 's'}"


def _loop_per_request(trace: Trace) -> Iterator[str]:
    if trace.interface == "wsgi" and any(hop.kind == "async_to_sync" for hop in trace.hops):
        yield (
            "Async code under WSGI gets an event loop and a thread of its own in every request: serve it through ASGI, "
            "or make it sync."
        )


def _orm_calls(trace: Trace) -> Iterator[str]:
    """Calls of the ORM's a-methods, each of which is one hop: known by who asks for it."""
    calls = [hop for hop in trace.hops if hop.cause != DJANGO and ORM in hop.asked_by]
    if len(calls) >= FEW:
        yield (
            f"{len(calls)} hops are single ORM calls: one sync function with all of them, called through "
            f"sync_to_async, makes one hop of them."
        )


def _serial(trace: Trace) -> Iterator[str]:
    """Calls that were made at once and ran one after the other."""
    queued = [hop for hop in trace.hops if hop.queued_us > max(hop.sent_us, hop.worked_us / 2)]
    if queued:
        yield (
            f"{len(queued)} call{'' if len(queued) == 1 else 's'} waited {trace.queued_us / 1000:.0f} ms in a queue "
            f"for this request's own thread: calls through sync_to_async run one after another, also gathered ones."
        )
