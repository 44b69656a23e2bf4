"""Makes the environments that servers run in, with uv where it is installed, else with venv and its pip.

Nothing counts as an environment before its last file is written (`model/environments.py`). What a killed `lab env add`
leaves is removed by the next one of that name.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.base.errors import LabError, NotRun, UsageError, refuse_first
from bench.base.files import KEPT, write_atomically
from bench.base.markers import hold_marker, is_abandoned, is_held
from bench.measure.processes import Process, work_folder
from bench.model import environments
from bench.model.environments import DEFAULT, FILE, PYTHON, Environment, Recipe, normalised
from bench.model.servers import SERVERS
from bench.model.stacks import DJANGO_PACKAGES, LABS

MARKER = ".made-by-the-lab"
OLDEST = (3, 11)
ANSWERS_WITHIN_S, INSTALLED_WITHIN_S, WHEELS_WITHIN_S = 30.0, 1800.0, 120.0
OFFLINE = re.compile(
    "connection ?(error|refused|reset)|timed out|name resolution|lookup address|error sending request|"
    "certificate verify|proxy ?error|network is unreachable",
    re.IGNORECASE,
)
NO_SUCH = re.compile(r"no matching distribution found for (\S+)|because (\S+) was not found", re.IGNORECASE)
UNFIT = re.compile("resolutionimpossible|no solution found", re.IGNORECASE)
DJANGO_VERSION = re.compile(r"\d+\.\d+(\.\d+|(a|b|rc)\d+)?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DATABASE_DRIVERS = ("psycopg[binary,pool]", "psycopg[pool]")
"""The first of these that can be installed: the second needs the system's libpq."""
SAYS = """
import json, platform, sys
from importlib import metadata
mark = "t" if "free-threading build" in sys.version else ""
print(json.dumps({
    "program": sys.executable,
    "version": sys.version_info[:2],
    "python": "%s %s%s" % (platform.python_implementation(), platform.python_version(), mark),
    "packages": {one.name: one.version for one in metadata.distributions() if one.name},
}))
"""


class NotInstalled(Exception):
    """What the installer printed last."""


@dataclass(frozen=True)
class _Installer:
    """uv or pip, for one environment. `constraints`: a file of the versions in requirements.lock."""

    python: str
    constraints: Path
    log: Path

    @property
    def words(self) -> list[str]:
        """Return the command before what is to be installed."""
        uv = shutil.which("uv")
        if uv:
            return [uv, "pip", "install", "--quiet", "--python", self.python]
        # Its own pip: one that is older than the interpreter takes files for another one.
        return [self.python, "-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]

    def install(self, *words: str) -> None:
        """Install as requirements.lock pins it, or in another version if that does not fit. Raises NotInstalled."""
        try:
            self._install_pinned(*words)
        except NotInstalled as error:
            if OFFLINE.search(str(error)):
                raise
            run_installer([*self.words, *words], self.log)

    def install_wheels(self, packages: Sequence[str]) -> dict[str, str]:
        """Install the locked versions that have a file for this interpreter; return the others, each with the reason.

        No other version: to find one that fits may take pip an hour, and leads to one of years ago.
        """
        try:
            self._install_pinned("--only-binary", ":all:", *packages, within_s=WHEELS_WITHIN_S)
        except NotInstalled as error:
            if len(packages) == 1:
                return {normalised(packages[0]): reason_of(str(error))}
            return {name: why for package in packages for name, why in self.install_wheels([package]).items()}
        return {}

    def _install_pinned(self, *words: str, within_s: float = INSTALLED_WITHIN_S) -> None:
        run_installer([*self.words, "--constraint", str(self.constraints), *words], self.log, within_s)


def add(name: str, recipe: Recipe, before: Callable[[], None] = lambda: None) -> Environment:
    """Make an environment. `before` is called once nothing is refused any more, before what takes long.

    Raises UsageError for words that do not fit, and NotRun where it cannot be made here.
    """
    environments.check_name(name)
    _refuse(name, recipe)
    like = environments.load_environment(recipe.like) if recipe.like else None
    said = {"program": "", "python": like.python} if like else describe_python(recipe.python)
    with _new_folder(name) as folder, work_folder("environment") as work:
        before()
        made = _share(name, recipe, like) if like else _make(name, recipe, said, folder, work)
        made = replace(made, made_at=datetime.now(UTC).isoformat(timespec="seconds"))
        write_atomically(folder / FILE, msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return made


def _refuse(name: str, recipe: Recipe) -> None:
    """Raise UsageError for what needs no look at the disk or at an interpreter."""
    wrong = next((it for it in recipe.variables if not VARIABLE.fullmatch(it) or it.startswith("LAB_")), None)
    refuse_first(
        {
            f"{DEFAULT} is the lab's own environment: choose another name.": name == DEFAULT,
            f"There is an environment {name} already: remove it first, with `lab env remove {name}`.": (
                environments.is_environment(name)
            ),
            f"--like {recipe.like} shares what is installed there: leave out --python, --django and --with.": (
                recipe.like and (recipe.python or recipe.django or recipe.packages)
            ),
            f"--like {DEFAULT}: the lab's own environment cannot be shared, because the lab changes it.": (
                recipe.like == DEFAULT
            ),
            f"{wrong!r} cannot be set: write --variable NAME=VALUE, and no name that begins with LAB_.": wrong,
        }
    )
    _django_words(recipe.django)


def _share(name: str, recipe: Recipe, like: Environment) -> Environment:
    """The same interpreter and packages under another name, with variables of its own."""
    like_name = like.recipe.like or like.name
    merged = replace(recipe, like=like_name, variables={**like.recipe.variables, **recipe.variables})
    return replace(like, name=name, recipe=merged)


def _make(name: str, recipe: Recipe, said: Mapping[str, Any], folder: Path, work: Path) -> Environment:
    """Make the virtual environment and install into it."""
    uv, python = shutil.which("uv"), str(environments.program_in(name))
    installer = _Installer(python, work / "constraints.txt", work / "log")
    chosen = {normalised(it) for it in recipe.packages if re.search("[=<>~!@]", it)}
    pins = {
        name: pin
        for name, pin in locked_versions().items()
        if name not in chosen | ({"django"} if recipe.django else set())
    }
    try:
        run_installer(_venv_command(uv, said["program"], folder), installer.log)
        installer.constraints.write_text("\n".join(pins.values()))
        installer.install(*_django_words(recipe.django), *DJANGO_PACKAGES[1:], *recipe.packages)
        there = {name: f"{name}=={version}" for name, version in _packages_of(python).items() if "dev" not in version}
        installer.constraints.write_text("\n".join((pins | there).values()))
        lacks = _install_others(installer)
    except NotInstalled as error:
        raise NotRun(
            f"The environment {name} could not be made for {said['python']}: {reason_of(str(error))}."
        ) from None
    made_with = "uv" if uv else "venv and pip"
    return Environment(name, said["python"], _packages_of(python), recipe, lacks, made_with)


def _venv_command(uv: str | None, program: str, folder: Path) -> list[str]:
    how = [uv, "venv", "--quiet", "--allow-existing", "--python", program] if uv else [program, "-I", "-m", "venv"]
    return [*how, str(folder)]


def _packages_of(python: str) -> dict[str, str]:
    """Return the versions of all packages that an interpreter has, by normalised name."""
    found = describe_python(python)["packages"]
    return dict(sorted((normalised(package), version) for package, version in found.items()))


def _install_others(installer: _Installer) -> dict[str, str]:
    """Install what servers and some labs need, as far as there are files for this interpreter; return what is not."""
    wanted = [package for server in SERVERS.values() for package in server.packages]
    wanted += [package for lab in LABS.values() for package in lab.packages if package not in DJANGO_PACKAGES]
    lacks = installer.install_wheels(list(dict.fromkeys(wanted)))
    for driver in DATABASE_DRIVERS:
        missing = installer.install_wheels([driver])
        if not missing:
            break
    return lacks | missing


def _django_words(django: str) -> list[str]:
    """Return what to install as Django. Raises UsageError if it is neither a version nor a checkout."""
    if not django:
        return ["django"]
    if DJANGO_VERSION.fullmatch(django):
        return [
            f"django=={django}.*"
            if django.count(".") == 1 and django.replace(".", "").isdigit()
            else f"django=={django}"
        ]
    folder = Path(django).expanduser().resolve()
    if not (folder / "django" / "__init__.py").is_file() or not (folder / "pyproject.toml").is_file():
        raise UsageError(f"--django {django} is no version such as 6.1, and no folder with a checkout of Django.")
    return ["--editable", str(folder)]


def locked_versions() -> dict[str, str]:
    """Read the versions in requirements.lock with their markers, by normalised name; lines of one name together."""
    pins: dict[str, str] = {}
    for line in (KEPT / "requirements.lock").read_text().splitlines():
        pin = line.removesuffix("\\").strip()
        if "==" in pin and not pin.startswith(("#", "--")):
            name = normalised(pin)
            pins[name] = "\n".join(filter(None, [pins.get(name), pin]))
    return pins


def describe_python(program: str) -> dict[str, Any]:
    """Ask a Python what it is: `program`, `version`, `python` and `packages`. Empty: the one that runs the lab.

    Raises UsageError if there is no such program, NotRun if it is no Python or too old.
    """
    found = shutil.which(os.path.expanduser(program)) if program else environments.program_of(PYTHON)
    if not found:
        raise UsageError(
            f"There is no program {program!r}: install that Python, for instance with `uv python install`, and name "
            f"its program with --python."
        )
    try:
        how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": ANSWERS_WITHIN_S, "check": True}
        said: dict[str, Any] = json.loads(subprocess.run([found, "-I", "-c", SAYS], **how).stdout)
        is_new_enough = tuple(said["version"]) >= OLDEST
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        raise NotRun(
            f"{program or found} does not answer as a Python does: name another program with --python."
        ) from None
    if not is_new_enough:
        raise NotRun(
            f"{program} is {said['python']}, and labs need {OLDEST[0]}.{OLDEST[1]} or newer: name another one."
        )
    return said


@contextmanager
def _new_folder(name: str) -> Iterator[Path]:
    """Make the folder of an environment, marked while this lasts; it is gone again if this does not end well."""
    folder = environments.FOLDER / name
    if is_abandoned(folder, MARKER):
        shutil.rmtree(folder)
    if is_held(folder / MARKER):
        raise NotRun(f"Another `lab env add {name}` is at work: wait for it to end.")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"{folder} exists and is no environment of the lab: move it away.")
    try:
        with hold_marker(folder, MARKER):
            yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def remove(name: str) -> None:
    """Remove an environment. Raises UsageError if it is the default or others share it, NotRun if it is not there."""
    environments.check_name(name)
    sharing = [other for other in environments.names() if other != DEFAULT and _shares(other, name)]
    refuse_first(
        {
            f"{DEFAULT} is the lab's own environment and stays: `./scripts/set-up` makes it.": name == DEFAULT,
            f"{name} is shared by {' and '.join(sharing)}: remove that first.": sharing,
        }
    )
    folder = environments.FOLDER / name
    if is_abandoned(folder, MARKER):  # what a killed `lab env add` left
        shutil.rmtree(folder)
        return
    if not environments.is_environment(name):
        environments.load_environment(name)
    (folder / FILE).unlink()  # first: what is left of an interrupted removal is no environment
    with hold_marker(folder, MARKER):
        for each in folder.iterdir():
            if each.name != MARKER:
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    folder.rmdir()


def _shares(name: str, of: str) -> bool:
    try:
        return environments.load_environment(name).recipe.like == of
    except LabError:
        return False


def run_installer(command: Sequence[str], log: Path, within_s: float = INSTALLED_WITHIN_S) -> None:
    """Run a command to its end. Raises NotInstalled with what it printed."""
    log.write_bytes(b"")
    # How the user reaches their package index, and no variable that would lead elsewhere.
    reach = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_"))}
    process = Process.start(command, log=log, environment=reach, adopts=True)
    try:
        status = process.popen.wait(within_s)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"it took longer than {within_s:.0f} s") from None
    finally:
        process.end_offspring()
        process.stop(0)
    if status:
        raise NotInstalled(process.log_tail())


def reason_of(said: str) -> str:
    """Return why something was not installed, in a few words."""
    if OFFLINE.search(said):
        return "the package index could not be reached; check the network"
    if found := NO_SUCH.search(said):
        return f"the package index has no file of {found[1] or found[2]} for this Python and system"
    if UNFIT.search(said):
        return "the versions that it needs do not fit together for this Python and system"
    lines = [line.strip() for line in said.splitlines() if re.search(r"\w", line)]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["the installer ended without a word"])[-1].rstrip(".")[:200]
