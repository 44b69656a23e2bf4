"""What the one-file Django projects of these tests share: how they are set up, and the views that both have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path

from labs.common.middleware import STARTPROJECT_APPS


async def answers(request: HttpRequest) -> HttpResponse:
    return HttpResponse("async")


def answers_sync(request: HttpRequest) -> HttpResponse:
    return HttpResponse("sync")


async def raises(request: HttpRequest) -> HttpResponse:
    raise ValueError("meant to fail")


async def template(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, engines["django"].from_string("rendered"))


SHARED_PATHS = [
    path("async", answers),
    path("sync", answers_sync),
    path("raises", raises),
    path("template", template),
]


def set_up(urls: str, database: Path, *migrated: Any) -> None:
    """Django with that module as its URLs, and a database with the tables of these apps, or of all."""
    settings.configure(
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["localhost"],
        ROOT_URLCONF=urls,
        INSTALLED_APPS=STARTPROJECT_APPS,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database)}},
        LOGGING={"version": 1, "disable_existing_loggers": True},
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", *migrated, verbosity=0)
