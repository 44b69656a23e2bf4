"""Sets up a Django project with a user in this process, and asks it behind either interface, without sockets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import django
import httpx
from django.conf import settings

from bench.measure.processes import work_folder
from labs.common.middleware import STARTPROJECT_APPS

WHERE = "http://localhost"


@contextmanager
def project(urls: str, **more: Any) -> Iterator[None]:
    """Set up Django with that module as its URLs and one user in its database; only once in a process."""
    with work_folder("claims") as folder:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db.sqlite3")}
        settings.configure(
            SECRET_KEY="not a secret",
            ALLOWED_HOSTS=["localhost"],
            ROOT_URLCONF=urls,
            INSTALLED_APPS=STARTPROJECT_APPS,
            DATABASES={"default": database},
            LOGGING={"version": 1, "disable_existing_loggers": True},
            **more,
        )
        django.setup()
        from django.contrib.auth.models import User
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        User.objects.create(username="ada")
        yield


async def statuses_by_asgi(paths: Sequence[str]) -> list[int]:
    """Ask each path in turn through Django's ASGI handler; return the status codes in that order."""
    from django.core.asgi import get_asgi_application

    transport = httpx.ASGITransport(get_asgi_application())
    async with httpx.AsyncClient(transport=transport, base_url=WHERE) as client:
        return [(await client.get(path)).status_code for path in paths]


def statuses_by_wsgi(paths: Sequence[str]) -> list[int]:
    """Ask each path in turn through WSGI, without a socket; return the status codes in that order."""
    from django.core.wsgi import get_wsgi_application

    transport = httpx.WSGITransport(get_wsgi_application())
    with httpx.Client(transport=transport, base_url=WHERE) as client:
        return [client.get(path).status_code for path in paths]
