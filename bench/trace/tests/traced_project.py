"""Somebody's project in one file, for tests of the tracer, and a request of it in a process of its own."""

from __future__ import annotations

import os
import shutil
import textwrap
from pathlib import Path
from typing import Any

from bench.trace.inside.model import Trace
from bench.trace.inside.request_spec import RequestSpec
from bench.trace.interpreter import OURS, Interpreter
from bench.trace.tracer import trace_application

BEGIN = """
import asyncio, os, sys, threading, time
from pathlib import Path
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

SECURITY, COMMON = "django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"

def configure(*middleware, **more):
    settings.configure(**{"SECRET_KEY": "x", "ROOT_URLCONF": __name__, "ALLOWED_HOSTS": ["*"],
                          "MIDDLEWARE": middleware, **more})

def note(word):
    with Path("notes").open("a") as notes:
        notes.write(word + "\\n")

async def hello(request):
    return HttpResponse("hello")

def hello_sync(request):
    return HttpResponse("hello")

"""
END = """
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
application, wsgi = get_asgi_application(), get_wsgi_application()
"""


def write_project(folder: Path, body: str, name: str = "somebody.py") -> None:
    """A module with `application` and `wsgi`; the body configures Django and says what `urlpatterns` are."""
    write_application(folder, BEGIN + textwrap.dedent(body) + END, name)


def write_application(folder: Path, body: str, name: str = "somebody.py") -> None:
    """A module without Django. Bytecode of an earlier text goes: it would serve a text of the same size and second."""
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    (folder / name).write_text(textwrap.dedent(body))


def ask(
    folder: Path,
    path: str = "/",
    app: str = "somebody:application",
    interpreter: Interpreter = OURS,
    within_s: float = 30.0,
    **more: Any,
) -> Trace:
    """The trace of one request; `more` are fields of RequestSpec."""
    return trace_application(RequestSpec(app, path, **more), os.environ, folder, within_s, interpreter)


def notes(folder: Path) -> list[str]:
    """What the project has noted while it ran."""
    file = folder / "notes"
    return file.read_text().split() if file.exists() else []
