"""Probes one project: which class-based views are async, one async view among sync ones, the ORM on an event loop."""

import asyncio
import os
import threading
import time
from statistics import median
from typing import Any
from unittest.mock import patch

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views import View

from bench.claims.probes.project import project, statuses_by_asgi, statuses_by_wsgi
from labs.common.work import whereabouts

OK = 200
CHECKS = 200
VISITS, VISITS_MET = 5, list[bool]()
KEPT = threading.local()
ON_A_LOOP: dict[str, object] = {}
UNCHANGED = ("users", "first", "exists")


def _users() -> Any:
    from django.contrib.auth.models import User

    return User.objects


def users(request: HttpRequest) -> HttpResponse:
    """Answer how many users there are, by the sync ORM."""
    return HttpResponse(str(_users().count()))


def first(request: HttpRequest) -> HttpResponse:
    """Answer the first user's name, by the sync ORM."""
    return HttpResponse(_users().order_by("pk").first().username)


def exists(request: HttpRequest) -> HttpResponse:
    """Answer whether there is any user, by the sync ORM."""
    return HttpResponse(str(_users().exists()))


def kept(request: HttpRequest) -> HttpResponse:
    """Keep an object in a thread-local, and note whether one was there from an earlier visit."""
    VISITS_MET.append(hasattr(KEPT, "client"))
    KEPT.client = object()
    return HttpResponse("kept")


async def flipped(request: HttpRequest) -> HttpResponse:
    """Answer how many users there are, by the async ORM: the view `users` made async."""
    return HttpResponse(str(await _users().acount()))


async def half_flipped(request: HttpRequest) -> HttpResponse:
    """Answer how many users there are, by the sync ORM in an async view."""
    return HttpResponse(str(_users().count()))


class AsyncCall(View):
    """As the documentation of Django 3.1 to 4.0 has it."""

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, if Django ever calls an instance of a View."""
        return HttpResponse("called")


class AsyncGet(View):
    """A class-based view whose `get` is async."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answer, and note whether an event loop runs in this thread."""
        ON_A_LOOP["get"] = whereabouts()["loop_running"]
        return HttpResponse("got")


class Instance:
    """No View of Django's: its instance is the view."""

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as a view."""
        return HttpResponse("called")


urlpatterns = [
    path("users", users),
    path("first", first),
    path("exists", exists),
    path("kept", kept),
    path("flipped", flipped),
    path("half_flipped", half_flipped),
    path("async_call", AsyncCall.as_view()),
    path("async_get", AsyncGet.as_view()),
    path("instance", Instance()),
]


def class_based_views() -> dict[str, Any]:
    """Ask a View with an async `__call__`, an instance with one, and a View with an async `get`."""
    with project(__name__):
        call, instance, get = asyncio.run(statuses_by_asgi(["/async_call", "/instance", "/async_get"]))
        return {"call": call, "instance": instance, "get": get, "get_on_a_loop": ON_A_LOOP.get("get", False)}


def flipped_view() -> dict[str, Any]:
    """Make one view of a sync project async: how many of the others answer unchanged behind each interface?"""
    paths = [f"/{name}" for name in UNCHANGED]
    with project(__name__):
        *asgi, flipped_asgi, half_flipped = asyncio.run(statuses_by_asgi([*paths, "/flipped", "/half_flipped"]))
        *wsgi, flipped_wsgi = statuses_by_wsgi([*paths, "/flipped"])
        return {
            "unchanged": len(paths),
            "answering_asgi": asgi.count(OK),
            "answering_wsgi": wsgi.count(OK),
            "flipped_asgi": flipped_asgi,
            "flipped_wsgi": flipped_wsgi,
            "half_flipped": half_flipped,
        }


def alist() -> dict[str, Any]:
    """Try `Model.objects.filter().alist()`, and what gives a list instead."""
    with project(__name__):
        return asyncio.run(_alist())


async def _alist() -> dict[str, Any]:
    found: dict[str, Any] = {"answers": True, "error": ""}
    async with ThreadSensitiveContext():
        try:
            await _users().filter(pk__gt=0).alist()
        except Exception as error:
            found = {"answers": False, "error": f"{type(error).__name__}: {error}"}
        listed = [user async for user in _users().filter(pk__gt=0)]
    return {**found, "async_for": len(listed)}


def a_methods_hop() -> dict[str, Any]:
    """Count the hops of some a-methods of a queryset and a model, and find whether the sync twin is refused on a loop.

    `unsafe_is_refused`: also where the environment has DJANGO_ALLOW_ASYNC_UNSAFE.
    """
    with project(__name__):
        return asyncio.run(_a_methods_hop())


async def _a_methods_hop() -> dict[str, Any]:
    from django.contrib.auth.models import User

    user = User(username="grace")
    calls = [_users().acount, _users().afirst, _users().aexists, _users().alast, user.asave, user.arefresh_from_db]
    async with ThreadSensitiveContext():
        hops = [await _hops_of(call) for call in [*calls, user.adelete]]
        refused = _is_refused(_users().count)
        with patch.dict(os.environ, {"DJANGO_ALLOW_ASYNC_UNSAFE": "yes"}):
            unsafe = _is_refused(_users().count)
    return {
        "calls": len(hops),
        "least_hops": min(hops),
        "most_hops": max(hops),
        "sync_is_refused": refused,
        "unsafe_is_refused": unsafe,
    }


async def _hops_of(call: Any) -> int:
    with patch.object(SyncToAsync, "__call__", autospec=True, side_effect=SyncToAsync.__call__) as hop:
        await call()
    return hop.call_count


def _is_refused(call: Any) -> bool:
    try:
        call()
    except SynchronousOnlyOperation:
        return True
    return False


def kept_in_its_thread() -> dict[str, Any]:
    """Visit a sync view that keeps a value in its thread, like a client: how many visits find one there?"""
    with project(__name__):
        paths = ["/kept"] * VISITS
        statuses_by_wsgi(paths)
        asyncio.run(statuses_by_asgi(paths))
        return {"visits": VISITS, "found_wsgi": sum(VISITS_MET[:VISITS]), "found_asgi": sum(VISITS_MET[VISITS:])}


def forms() -> dict[str, Any]:
    """Validate forms on a loop: microseconds of one without queries, and whether one with a query is refused."""
    with project(__name__):
        return asyncio.run(_forms())


async def _forms() -> dict[str, Any]:
    from django.contrib.auth.forms import UserCreationForm

    from labs.common.contact import ContactForm

    good = {"name": "Ada", "email": "ada@example.org", "message": "Hello"}
    times_us = []
    for _ in range(CHECKS):
        began_ns = time.perf_counter_ns()
        assert ContactForm(good).is_valid()
        times_us.append((time.perf_counter_ns() - began_ns) / 1000)
    unique = UserCreationForm({"username": "ada", "password1": "Lovelace-1815", "password2": "Lovelace-1815"})
    return {"form_us": round(median(times_us)), "model_form_is_refused": _is_refused(unique.is_valid)}
