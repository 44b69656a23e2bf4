"""Django's own tests of its ASGI handler, with ZeroHopHandler in its place."""

import os
import re
import subprocess
import sys

import django
import pytest

from bench.base.files import ROOT

TESTS = ROOT / ".django" / f"django-{django.get_version()}" / "tests"
RUN = ("runtests.py", "asgi", "--settings=bench.measure.tests.django_suite_settings", "--parallel=1")


@pytest.mark.skipif(
    not (TESTS / "asgi").is_dir(), reason="Django's source is not here: ./scripts/django-source fetches it"
)
def test_djangos_own_tests_of_its_asgi_handler_pass() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *RUN]
    done = subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert said(r"Ran (\d+) tests", done.stderr) >= 30
    assert said(r"signals sent on the loop: (\d+)", done.stderr) >= 10


def said(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, text[-4000:]
    return int(found[1])
