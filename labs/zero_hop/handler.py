"""Django's ASGI handler without the two hops that every request pays: it goes to a thread only where one is needed.

Why that is right: Django's own receivers of its two signals look after database connections, and those belong to the
thread that opened them. Each request has a thread of its own, made by its first hop. So before the first hop there is
no connection to check, and a request that never hopped has none to close. Whoever else listens, or has something to
close, is called where Django would call it.
"""

import asyncio
from contextlib import suppress
from typing import Any, cast

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.core import signals
from django.core.cache import caches, close_caches
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.handlers.base import reset_urlconf
from django.db import close_old_connections, reset_queries
from django.dispatch import Signal
from django.http import HttpResponse
from django.urls import set_script_prefix

# What they look at: connections, which a thread has; caches, which a request has; the URLconf, which is reset anyway.
DJANGOS_OWN = {reset_queries, close_old_connections, close_caches, reset_urlconf}


class ZeroHopHandler(ASGIHandler):
    """`ASGIHandler` in smaller pieces: it hops where something needs it, and the view has no task of its own."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, as `ASGIHandler.handle` does; send signals only where they find work."""
        try:
            body_file = await self.read_body(receive)
        except RequestAborted:
            return
        set_script_prefix(get_script_prefix(scope))
        await self.announce(signals.request_started, scope=scope)
        request, error_response = self.create_request(scope, body_file)
        if request is None:
            body_file.close()
            await self.send_response(error_response, send)
            await self.close(error_response)
            return
        try:
            response = await self.respond_unless_gone(request, receive, send)
            if response is None:
                await self.announce(signals.request_finished)
            else:
                await self.close(response)
        finally:
            body_file.close()

    async def respond_unless_gone(self, request: ASGIRequest, receive: Any, send: Any) -> HttpResponse | None:
        """Answer in this task, which the client's leaving cancels; None where that ended the view.

        Django takes a task of its own for it, and so more turns of the loop before the answer. At 400 requests in
        flight each turn is taken by all of them before the next request of the first is looked at: they come in waves.
        """
        responding = cast("asyncio.Task[None]", asyncio.current_task())
        listening = asyncio.create_task(self.cancel_when_gone(receive, responding))
        response = None
        try:
            response = await self.run_get_response(request)
            await self.send_response(response, send)
        except asyncio.CancelledError:
            if not listening.done():
                raise  # it is not the client who ends this
        finally:
            if listening.done():
                responding.uncancel()
            await self.end(listening)
        return response

    async def cancel_when_gone(self, receive: Any, responding: "asyncio.Task[None]") -> None:
        """Wait until the client leaves, then cancel the responding task."""
        try:
            await self.listen_for_disconnect(receive)
        except Exception:  # the client is gone, or has sent what should never come
            responding.cancel()
            raise

    @staticmethod
    async def end(listening: "asyncio.Task[None]") -> None:
        """Stop waiting for the client to leave."""
        listening.cancel()
        with suppress(asyncio.CancelledError, RequestAborted):
            await listening

    async def announce(self, signal: Signal, **named: Any) -> None:
        """Send the signal as Django does, unless nobody listens but receivers that would find nothing to do."""
        if self.has_work_for(signal):
            await signal.asend(sender=self.__class__, **named)
        elif signal is signals.request_finished:
            reset_urlconf(self.__class__)

    async def close(self, response: HttpResponse) -> None:
        """Close the response, and say that the request is finished, as `HttpResponse.close` does."""
        if has_more_to_close(response) or self.has_work_for(signals.request_finished):
            await sync_to_async(response.close)()
            return
        for closer in response._resource_closers:
            closer()
        response._resource_closers.clear()
        response.closed = True
        reset_urlconf(self.__class__)

    def has_work_for(self, signal: Signal) -> bool:
        """Whether a receiver may have connections or caches to look at, or is somebody else's."""
        may_close_caches = signal is signals.request_finished and has_caches()
        return has_thread() or may_close_caches or not only_django_listens(signal, self.__class__)


_LISTENING: dict[tuple[Signal, type], tuple[list[Any], bool]] = {}


def only_django_listens(signal: Signal, sender: type) -> bool:
    """Whether all receivers are Django's own; looked up again when somebody has connected or disconnected."""
    known, answer = _LISTENING.get((signal, sender), (None, False))
    if known != signal.receivers:
        sync_receivers, async_receivers = signal._live_receivers(sender)
        answer = not async_receivers and DJANGOS_OWN.issuperset(sync_receivers)
        _LISTENING[signal, sender] = list(signal.receivers), answer
    return answer


def has_thread() -> bool:
    """Whether sync code of this request has had a thread, in which connections may be open."""
    if getattr(AsyncToSync.executors, "current", None):
        return True  # whoever called us from sync code waits in that thread
    context = SyncToAsync.thread_sensitive_context.get(None)
    return context is None or context in SyncToAsync.context_to_thread_executor


def has_caches() -> bool:
    """Whether this request has used a cache, whose closing may take I/O."""
    return bool(list(caches.all(initialized_only=True)))


def has_more_to_close(response: HttpResponse) -> bool:
    """Whether there is more to close than a request without uploads: a file, a generator, uploaded files."""
    owners = [getattr(closer, "__self__", None) for closer in response._resource_closers]
    return any(not isinstance(owner, ASGIRequest) or getattr(owner, "_files", None) for owner in owners)
