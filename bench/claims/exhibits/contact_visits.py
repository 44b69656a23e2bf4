"""Fills in the contact form through one lab's own door, in a process of its own.

    python -m bench.claims.exhibits.contact_visits labs.async_asgi.asgi

prints {visit: [hops, status, location, body], ...} as JSON.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

import httpx
from asgiref.sync import SyncToAsync

Ask = Callable[..., httpx.Response]
GOOD = {"name": "Ada", "email": "ada@example.org", "message": "Hello"}
BAD = {"name": "<b>Ada</b>", "email": "ada", "message": ""}
HTMX = {"HX-Request": "true"}
# Django masks the token anew each time it is written out.
TOKEN = re.compile(r'(?<=name="csrfmiddlewaretoken" value=")\w+')


def main(door: str) -> None:
    """Visit the contact page of an application, such as `labs.sync_wsgi.wsgi`, and print what came back as JSON."""
    application = import_module(door).application
    with visitor(application, door.endswith("asgi")) as ask:
        print(json.dumps(dict(visits(ask))))


@contextmanager
def visitor(application: Any, asgi: bool) -> Iterator[Ask]:
    """A browser's part in it: cookies are kept, redirects are not followed."""
    where = "http://127.0.0.1"
    if not asgi:
        with httpx.Client(transport=httpx.WSGITransport(application), base_url=where) as client:
            yield client.request
        return
    with asyncio.Runner() as runner:
        visiting = httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url=where)
        yield lambda *what, **more: runner.run(visiting.request(*what, **more))
        runner.run(visiting.aclose())


def visits(ask: Ask) -> Iterator[tuple[str, list[object]]]:
    """Yield each visit's name and what came back, as `ask_once` returns it; the order matters, cookies are kept."""
    yield "without token", ask_once(ask, "POST", "/contact", data=GOOD)
    page = ask("GET", "/contact")
    found = TOKEN.search(page.text)
    assert found is not None
    token = {"csrfmiddlewaretoken": found[0]}
    yield "page", ask_once(ask, "GET", "/contact")
    yield "errors", ask_once(ask, "POST", "/contact", data=BAD | token)
    yield "errors by HTMX", ask_once(ask, "POST", "/contact", data=BAD | token, headers=HTMX)
    yield "sent", ask_once(ask, "POST", "/contact", data=GOOD | token)
    yield "sent by HTMX", ask_once(ask, "POST", "/contact", data=GOOD | token, headers=HTMX)
    yield "thanks", ask_once(ask, "GET", "/contact?sent=yes")
    yield "thanks by HTMX", ask_once(ask, "GET", "/contact?sent=yes", headers=HTMX)


def ask_once(ask: Ask, *what: str, **more: Any) -> list[object]:
    """Ask once and return hops to a thread, status, where it redirects to, and the text with the token masked."""
    with patch.object(SyncToAsync, "__call__", autospec=True, side_effect=SyncToAsync.__call__) as hop:
        answer = ask(*what, **more)
    return [hop.call_count, answer.status_code, answer.headers.get("location"), TOKEN.sub("masked", answer.text)]


if __name__ == "__main__":
    main(*sys.argv[1:])
