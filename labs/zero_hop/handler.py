"""Django's ASGI handler without the two hops that every request pays: it goes to a thread only where one is needed.

Why that is right: the signals' own receivers look after database connections, and those belong to the thread that
opened them. Django gives each request a thread of its own, made by its first hop. So before the first hop there is no
connection to check, and a request that never hopped has none to close. Whoever else listens, or has something to
close, is called where Django would call it.
"""

import asyncio
from contextlib import suppress
from typing import Any

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

QUICK_WITHOUT_CONNECTIONS = {reset_queries, close_old_connections, close_caches, reset_urlconf}


class ZeroHopHandler(ASGIHandler):
    """`ASGIHandler`, with `handle` in smaller pieces; only `announce` and `close` differ from Django's."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
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
        responding = await self.respond_unless_gone(request, receive, send)
        try:
            response = responding.result()
        except asyncio.CancelledError:
            await self.announce(signals.request_finished)
        else:
            await self.close(response)
        body_file.close()

    async def respond_unless_gone(self, request: ASGIRequest, receive: Any, send: Any) -> "asyncio.Task[HttpResponse]":
        """Answer while watching for the client to leave; the first of the two to end ends the other."""
        # Listening comes first: it raises nothing that would keep the answer from being cancelled.
        listening = asyncio.create_task(self.listen_for_disconnect(receive))
        responding = asyncio.create_task(self.respond(request, send))
        await asyncio.wait([listening, responding], return_when=asyncio.FIRST_COMPLETED)
        for task in (listening, responding):
            try:
                await self.end(task)
            except AssertionError:
                request._stream.close()
                raise
        return responding

    @staticmethod
    async def end(task: "asyncio.Task[Any]") -> None:
        """Cancel the task unless it is done; a client that left and a task that took its cancelling are no errors."""
        if task.done():
            with suppress(RequestAborted):
                task.result()
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def respond(self, request: ASGIRequest, send: Any) -> HttpResponse:
        response = await self.run_get_response(request)
        with suppress(asyncio.CancelledError):  # the client left meanwhile
            await self.send_response(response, send)
        return response

    async def announce(self, signal: Signal, **named: Any) -> None:
        """Send the signal, from the loop where all that its receivers could do needs no thread."""
        sender = self.__class__
        if has_thread() or not is_quick(signal, sender):
            await signal.asend(sender=sender, **named)
        else:
            signal.send(sender=sender, **named)

    async def close(self, response: HttpResponse) -> None:
        """Close the response, which also sends `request_finished`."""
        if has_thread() or has_more_to_close(response) or not is_quick(signals.request_finished, self.__class__):
            await sync_to_async(response.close)()
        else:
            response.close()


def has_thread() -> bool:
    """Whether sync code of this request has had a thread, in which connections may be open."""
    if getattr(AsyncToSync.executors, "current", None):
        return True  # whoever called us from sync code waits in that thread
    context = SyncToAsync.thread_sensitive_context.get(None)
    return context is None or context in SyncToAsync.context_to_thread_executor


def is_quick(signal: Signal, sender: Any) -> bool:
    """Whether only Django's own receivers listen, and find nothing to do on this thread."""
    sync_receivers, async_receivers = signal._live_receivers(sender)
    mine_only = not async_receivers and QUICK_WITHOUT_CONNECTIONS.issuperset(sync_receivers)
    return mine_only and not any(True for _ in caches.all(initialized_only=True))


def has_more_to_close(response: HttpResponse) -> bool:
    """Whether closing does more than end a request without uploads: a file, a generator, uploaded files."""
    owners = [getattr(closer, "__self__", None) for closer in response._resource_closers]
    return any(not isinstance(owner, ASGIRequest) or getattr(owner, "_files", None) for owner in owners)
