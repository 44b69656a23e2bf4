"""What `other_packages` runs in an environment of its own: Django and one package, nothing of bench.

python with_packages.py rest_framework|ninja|whitenoise|newest_django
"""

import asyncio
import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

import django
from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.conf import settings

LARGE = 300_000
FOUND: dict[str, Any] = {}


def _set_up(**more: Any) -> None:
    settings.configure(
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        LOGGING={"version": 1, "disable_existing_loggers": True},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        **more,
    )
    django.setup()


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _ask(path: str) -> dict[str, Any]:
    """Ask Django's ASGI handler: status, hops to a thread, parts of the body."""
    return asyncio.run(_asked(path))


async def _asked(path: str) -> dict[str, Any]:
    from django.core.asgi import get_asgi_application

    sent: list[dict[str, Any]] = []
    received: list[None] = []

    async def receive() -> dict[str, Any]:
        if received:
            await asyncio.Event().wait()
        received.append(None)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    application = get_asgi_application()
    with patch.object(SyncToAsync, "__call__", autospec=True, side_effect=SyncToAsync.__call__) as hop:
        try:
            await application(scope, receive, send)
        except Exception as error:
            return {"status": 500, "error": type(error).__name__, "hops": hop.call_count, "parts": 0}
    parts = sum(bool(message.get("body")) for message in sent)
    return {"status": sent[0]["status"], "error": "", "hops": hop.call_count, "parts": parts}


def rest_framework() -> dict[str, Any]:
    """Ask an APIView with an async `get`, and one with a sync `get`."""
    _set_up(INSTALLED_APPS=["rest_framework"], REST_FRAMEWORK={"UNAUTHENTICATED_USER": None})
    import rest_framework as package  # type: ignore[import-not-found,unused-ignore]
    from django.urls import path
    from rest_framework.renderers import JSONRenderer  # type: ignore[import-not-found,unused-ignore]
    from rest_framework.response import Response  # type: ignore[import-not-found,unused-ignore]
    from rest_framework.views import APIView  # type: ignore[import-not-found,unused-ignore]

    class Base(APIView):
        authentication_classes = ()
        renderer_classes = (JSONRenderer,)

    class AsyncView(Base):
        async def get(self, request: Any) -> Any:
            return Response({})

    class SyncView(Base):
        def get(self, request: Any) -> Any:
            FOUND["on_a_loop"] = _runs_a_loop()
            return Response({})

    globals()["urlpatterns"] = [path("async", AsyncView.as_view()), path("sync", SyncView.as_view())]
    settings.DEBUG_PROPAGATE_EXCEPTIONS = True
    coroutine, plain = _ask("/async"), _ask("/sync")
    return {
        "version": package.__version__,
        "async_status": coroutine["status"],
        "async_error": coroutine["error"],
        "sync_status": plain["status"],
        "sync_on_a_loop": FOUND["on_a_loop"],
        "sync_hops": plain["hops"],
    }


def ninja() -> dict[str, Any]:
    """Ask an async and a sync operation."""
    _set_up(INSTALLED_APPS=["ninja"])
    import ninja as package  # type: ignore[import-not-found,unused-ignore]
    from django.urls import path

    api = package.NinjaAPI()

    @api.get("/async")
    async def operation(request: Any) -> dict[str, Any]:
        return {"loop": _runs_a_loop()}

    @api.get("/sync")
    def sync_operation(request: Any) -> dict[str, Any]:
        FOUND["sync_on_a_loop"] = _runs_a_loop()
        return {}

    @api.get("/where")
    async def where(request: Any) -> dict[str, Any]:
        FOUND["async_on_a_loop"] = _runs_a_loop()
        return {}

    globals()["urlpatterns"] = [path("api/", api.urls)]
    coroutine, plain, _ = _ask("/api/async"), _ask("/api/sync"), _ask("/api/where")
    return {
        "version": package.__version__,
        "async_status": coroutine["status"],
        "async_hops": coroutine["hops"],
        "sync_status": plain["status"],
        "sync_hops": plain["hops"],
        **FOUND,
    }


def whitenoise() -> dict[str, Any]:
    """Ask for a static file of several blocks; note the thread that reads it and the parts in which it leaves."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "large.txt").write_bytes(b"x" * LARGE)
        _set_up(
            STATIC_ROOT=folder,
            STATIC_URL="/static/",
            MIDDLEWARE=["whitenoise.middleware.WhiteNoiseMiddleware"],
        )
        globals()["urlpatterns"] = []
        from importlib.metadata import version

        from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-not-found,unused-ignore]

        serve = WhiteNoiseMiddleware.serve
        main = threading.get_ident()

        def noting(static_file: Any, request: Any) -> Any:
            FOUND["on_the_loop"] = threading.get_ident() == main
            response = serve(static_file, request)
            response.streaming_content = noted(response.streaming_content)
            FOUND["async_iterator"] = response.is_async
            return response

        def noted(parts: Any) -> Any:
            for part in parts:
                FOUND["read_on_the_loop"] = threading.get_ident() == main
                yield part

        with patch.object(WhiteNoiseMiddleware, "serve", staticmethod(noting)):
            asked = _ask("/static/large.txt")
        return {
            "version": version("whitenoise"),
            "bytes": LARGE,
            "async_capable": getattr(WhiteNoiseMiddleware, "async_capable", False),
            **asked,
            **FOUND,
        }


def newest_django() -> dict[str, Any]:
    """Count the hops of a-methods; find the scopes that are taken and a-methods of templates."""
    with tempfile.TemporaryDirectory() as folder:
        _set_up(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
        settings.DATABASES["default"]["NAME"] = f"{folder}/db.sqlite3"
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        return {"version": django.get_version()} | asyncio.run(_newest())


async def _newest() -> dict[str, Any]:
    from django.contrib.auth.models import User
    from django.core.asgi import get_asgi_application
    from django.db import transaction
    from django.template.backends.django import Template

    application, refused = get_asgi_application(), []
    for kind in ("websocket", "lifespan"):
        try:
            await application({"type": kind}, None, None)
        except ValueError:
            refused.append(kind)
    hops = []
    async with ThreadSensitiveContext():
        for call in (User.objects.acount, User.objects.afirst, User.objects.aexists):
            with patch.object(SyncToAsync, "__call__", autospec=True, side_effect=SyncToAsync.__call__) as hop:
                await call()
            hops.append(hop.call_count)
    return {
        "calls": len(hops),
        "least_hops": min(hops),
        "refused": refused,
        "websocket": "websocket" not in refused,
        "lifespan": "lifespan" not in refused,
        "async_atomic": hasattr(transaction.Atomic, "__aenter__"),
        "async_templates": any(name.startswith("arender") for name in dir(Template)),
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
