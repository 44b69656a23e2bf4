"""What could be done about the hops of a request: one sentence each, none where nothing speaks for a change."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .trace import DJANGO, VIEW, Hop, Layer, Trace

MIXIN_HOOKS = ("process_request", "process_response")
ORM = "django/db/"
SYNC_VIEW_AFTER = "1 back to the loop and 1 more to the view"
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
    own = [hop for hop in trace.crossings if hop.cause == VIEW and hop is not sync_view(trace)]
    if trace.interface == "asgi" and sync_view(trace) and not own and not _has_async_code(trace.middleware):
        yield "This project has no async view and no async-only middleware: behind WSGI this request makes no hop."


def sync_view(trace: Trace) -> Hop | None:
    """The hop on which Django sends a sync view to a thread; None where there is none."""
    return next((hop for hop in trace.crossings if _is_way_to_view(hop)), None)


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
    mixins = {place for place, layer in enumerate(trace.middleware) if layer.is_mixin and layer.runs == "async"}
    count = sum(hop.layer in mixins and hop.what.endswith(MIXIN_HOOKS) for hop in trace.crossings)
    if count < FEW or trace.interface != "asgi":
        return
    view = sync_view(trace)
    own, after = ("", "1 back to the async view") if view is None else (" and 1 from the sync view", SYNC_VIEW_AFTER)
    yield (
        f"{count} hops come from MiddlewareMixin{own}. Django makes one for each process_request and process_response. "
        f"With a sync-only middleware innermost there is 1 hop to a thread for all of them, {after}. That thread is "
        f"then held while the view waits."
    )


def _islands(trace: Trace) -> Iterator[str]:
    """Sync-only middlewares with something async inside of them, each stretch of sync layers once."""
    layers = [layer for layer in trace.middleware if layer.runs in ("sync", "async")]
    stretch: list[Layer] = []
    for layer in layers:
        if layer.runs == "async" and trace.interface == "asgi":
            yield from _island([layer for layer in stretch if layer.capable == "sync"])
            stretch = []
        else:
            stretch.append(layer)


def _island(sync_only: Sequence[Layer]) -> Iterator[str]:
    if sync_only:
        names = " and ".join(layer.path for layer in sync_only)
        hops = sum(layer.hops for layer in sync_only)
        count = f"{hops} hop{'' if hops == 1 else 's'}"
        verb, their = ("is", "it") if len(sync_only) == 1 else ("are", "them")
        yield (
            f"{names} {verb} sync-only and around async middlewares: each request goes to a thread for {their} and "
            f"comes back ({count}). Give {their} an async half, or place {their} innermost."
        )


def _loop_per_request(trace: Trace) -> Iterator[str]:
    if trace.interface == "wsgi" and any(hop.kind == "async_to_sync" for hop in trace.crossings):
        yield (
            "Async code under WSGI gets an event loop and a thread of its own in every request: serve it through ASGI, "
            "or make it sync."
        )


def _orm_calls(trace: Trace) -> Iterator[str]:
    """Calls of the ORM's a-methods, each of which is one hop: known by who asks for it."""
    calls = [hop for hop in trace.crossings if hop.cause != DJANGO and ORM in hop.asked_by]
    if len(calls) >= FEW:
        yield (
            f"{len(calls)} hops are single ORM calls: one sync function with all of them, called through "
            f"sync_to_async, makes one hop of them."
        )


def _serial(trace: Trace) -> Iterator[str]:
    """Calls that were made at once and ran one after the other."""
    queued = [hop for hop in trace.crossings if hop.queued_us > max(hop.sent_us, hop.worked_us / 2)]
    if queued:
        yield (
            f"{len(queued)} call{'' if len(queued) == 1 else 's'} waited {trace.queued_us / 1000:.0f} ms in a queue "
            f"for this request's own thread: calls through sync_to_async run one after another, also gathered ones."
        )
