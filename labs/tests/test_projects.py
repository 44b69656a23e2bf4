"""What holds for every folder in labs/: its settings, its imports, its README."""

import ast
import json
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from labs.common.middleware import NAMES, middleware_from_names
from labs.tests.ask import run_python

LABS = Path(__file__).parents[1]
FOLDERS = [LABS, *sorted(path for path in LABS.iterdir() if path.is_dir() and path.name != "__pycache__")]
SETTINGS = ["sync_wsgi", "async_asgi", "mixed_middleware", "live_preview"]
FACTS = """
import json
from django.conf import settings as s
s.LOGGING
print(json.dumps([s.DEBUG, s.ALLOWED_HOSTS, s.USE_TZ, s.MIDDLEWARE, s.INSTALLED_APPS, s.SECRET_KEY]))
"""


def settings_of(lab: str, **variables: str) -> list[object]:
    done = run_python("-c", FACTS, DJANGO_SETTINGS_MODULE=f"labs.{lab}.settings", **variables)
    return json.loads(done.stdout)


@pytest.mark.parametrize("lab", SETTINGS)
def test_debug_is_off_hosts_are_loopback_and_the_key_is_made_per_start(lab: str) -> None:
    (*first, key), (*second, other_key) = (settings_of(lab, LAB_MIDDLEWARE="") for _ in range(2))
    assert first == second == [False, ["127.0.0.1", "localhost", "[::1]"], True, [], ["labs.common.shop"]]
    assert key != other_key


def test_a_given_secret_key_is_used() -> None:
    assert settings_of("sync_wsgi", LAB_SECRET_KEY="given")[-1] == "given"


def test_startproject_is_what_django_admin_startproject_writes(tmp_path: Path) -> None:
    done = run_python("-m", "django", "startproject", "fresh", str(tmp_path))
    assert done.returncode == 0, done.stderr
    fresh: dict[str, object] = {}
    exec((tmp_path / "fresh/settings.py").read_text(), {"__file__": __file__}, fresh)
    assert middleware_from_names("startproject") == fresh["MIDDLEWARE"]


def test_an_unknown_middleware_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        middleware_from_names("both,nosuch")
    assert str(refusal.value) == f"LAB_MIDDLEWARE does not know 'nosuch'; it knows {', '.join(NAMES)}."


def test_middleware_names_may_be_spaced_and_empty() -> None:
    assert middleware_from_names(" both, sync_only,") == [*NAMES["both"], *NAMES["sync_only"]]
    assert middleware_from_names("") == []


@pytest.mark.parametrize("path", sorted(LABS.rglob("*.py")), ids=lambda path: str(path.relative_to(LABS)))
def test_labs_import_nothing_from_bench(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert "bench" not in {name.split(".")[0] for name in imported}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_says_in_at_most_15_lines_what_it_is_for(folder: Path) -> None:
    assert 1 <= len((folder / "README.md").read_text().splitlines()) <= 15
