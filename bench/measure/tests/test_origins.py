"""Who may change something: the lab's own pages and programs, behind either door; no page of another site."""

import json

import pytest

from labs.tests.ask import run_python

PROGRAM = """
import json, sys
from importlib import import_module
from bench.claims.exhibits.contact_visits import visitor

door, *asked = sys.argv[1:]
with visitor(import_module(door).application, door.endswith("asgi")) as ask:
    print(json.dumps([ask("POST", "/publish?text=x", headers=json.loads(headers)).status_code for headers in asked]))
"""
HERE = "http://127.0.0.1"
TAKEN: list[dict[str, str]] = [
    {},
    {"Origin": HERE, "Sec-Fetch-Site": "same-origin"},
    {"Host": "localhost:8000", "Origin": "http://localhost:8000"},
]
REFUSED = [
    {"Origin": "http://example.org"},
    {"Origin": f"{HERE}:8888"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]
REBOUND = {"Host": "example.org", "Origin": "http://example.org", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("door", ["labs.sync_wsgi.wsgi", "labs.async_asgi.asgi"])
def test_only_own_pages_and_programs_may_publish(door: str) -> None:
    asked = [json.dumps(headers) for headers in (*TAKEN, *REFUSED, REBOUND)]
    done = run_python("-c", PROGRAM, door, *asked)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [200] * len(TAKEN) + [403] * len(REFUSED) + [400]
