"""What could be done about the hops of a request: one sentence each, none where nothing speaks for a change."""

import inspect
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

from .model import DJANGO, HOOKS, ORM, VIEW, Trace

HANDLERS = "django/core/handlers/"
"""What asks for the view, the rendering of its answer, and the like: behind WSGI none of it is a hop."""
ASYNC_VIEW = "", "1 back to the async view"
SYNC_VIEW = " and 1 from the sync view", "1 back to the loop and 1 more to the view"
"""The view's own hop; and the hops behind a sync-only middleware that stands innermost."""
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
    if trace.interface == "asgi" and _has_sync_view(trace) and not own and not _has_async_code(trace):
        yield "This project has no async view and no async-only middleware: behind WSGI this request makes no hop."


def _has_sync_view(trace: Trace) -> bool:
    """Whether Django sends a view to a thread."""
    of_view = [hop for hop in trace.hops if hop.cause == VIEW and hop.kind == "sync_to_async"]
    return any(hop.asked_by.endswith("_get_response_async") and not hop.what.endswith(".render") for hop in of_view)


def _has_async_code(trace: Trace) -> bool:
    """Whether a middleware knows async alone, or any view of the project is async."""
    return any(layer.capable == "async" for layer in trace.middleware) or any(map(_is_async_view, _views()))


def _is_async_view(view: Any) -> bool:
    return inspect.iscoroutinefunction(view) or bool(getattr(getattr(view, "view_class", None), "view_is_async", False))


def _views() -> Iterator[Any]:
    """Every view of the project's URLs, as far as they can be read."""
    urls: Any = sys.modules.get("django.urls")
    with suppress(Exception):  # the project's own, which has answered the request without them
        yield from _views_in(urls.get_resolver().url_patterns) if urls else ()


def _views_in(patterns: Sequence[Any]) -> Iterator[Any]:
    for pattern in patterns:
        yield from _views_in(pattern.url_patterns) if hasattr(pattern, "url_patterns") else [pattern.callback]


def _fold(trace: Trace) -> Iterator[str]:
    """Hops of MiddlewareMixin, which one sync-only middleware inside of them all would make one."""
    count = _hook_hops(trace, range(len(trace.middleware)))
    own, after = SYNC_VIEW if _has_sync_view(trace) else ASYNC_VIEW
    if count >= FEW and trace.interface == "asgi":
        yield (
            f"{count} hops come from MiddlewareMixin{own}. Django makes one for each process_request and "
            f"process_response. With a sync-only middleware innermost there is 1 hop to a thread for all of them, "
            f"{after}. That thread is then held while the view waits."
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
    if trace.interface == "wsgi" and trace.hop_counts["async_to_sync"]:
        yield (
            "Async code under WSGI gets an event loop and a thread of its own in every request: serve it through ASGI, "
            "or make it sync."
        )


def _orm_calls(trace: Trace) -> Iterator[str]:
    """Calls of the ORM's a-methods, each of which is one hop: known by the place that asks for it."""
    count = sum(hop.cause != DJANGO and ORM in hop.asked_by for hop in trace.hops)
    if count >= FEW:
        yield (
            f"{count} hops are single ORM calls: one sync function with all of them, called through "
            f"sync_to_async, makes one hop of them."
        )


def _serial(trace: Trace) -> Iterator[str]:
    """Calls that were made at once and ran one after the other."""
    count = sum(hop.queued_us > max(hop.sent_us, hop.worked_us / 2) for hop in trace.hops)
    if count:
        yield (
            f"{count} call{'' if count == 1 else 's'} waited {trace.queued_us / 1000:.0f} ms in a queue "
            f"for this request's own thread: calls through sync_to_async run one after another, also gathered ones."
        )
