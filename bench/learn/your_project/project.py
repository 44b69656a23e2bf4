"""Finding a Django project from what the user typed: a folder with manage.py, settings, or an application."""

import os
import re
from pathlib import Path

from bench.base.errors import UsageError
from bench.learn.your_project.model import Project
from bench.trace.interpreter import choose_interpreter

MANAGE = "manage.py"
SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE["']?\s*(?:,|\]\s*=|=)\s*["']([\w.]+)["']""")
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
DOORS = ("wsgi", "asgi")


def find_project(target: str, settings: str | None = None, python: str | None = None) -> Project:
    """Return the project that `../mysite`, `mysite.settings` or `mysite.asgi:application` names.

    The last two are looked for in the current folder. `settings` wins over those of manage.py. Raises UsageError.
    """
    module, colon, attribute = target.partition(":")
    if Path(target).is_dir():
        root = _folder_with_manage(Path(target).resolve())
        settings = settings or _settings_of(root)
    elif colon and MODULE.fullmatch(module) and MODULE.fullmatch(attribute):
        root = Path.cwd()
        settings = settings or _settings_in(_file_of(root, module)) or ""
    elif not colon and MODULE.fullmatch(target):
        root, settings = Path.cwd(), target
    else:
        raise UsageError(
            f"{target!r} names no project: give a folder with {MANAGE}, the settings as mysite.settings, or an "
            f"application as mysite.asgi:application."
        )
    root = _import_root(root, settings)
    found = {door: _application_of(root, settings, door) for door in DOORS}
    if colon:
        found[_door_of(module, attribute)] = target
    return Project(root, settings, found["wsgi"], found["asgi"], choose_interpreter(python, root))


def _folder_with_manage(folder: Path) -> Path:
    """Return the folder with manage.py: this one, or the only one in it."""
    if (folder / MANAGE).is_file():
        return folder
    within = sorted(path.parent for path in [*folder.glob(f"*/{MANAGE}"), *folder.glob(f"*/*/{MANAGE}")])
    if len(within) == 1:
        return within[0]
    if within:
        names = ", ".join(str(path.relative_to(folder)) for path in within)
        raise UsageError(f"{folder} has several projects ({names}): name one of these folders.")
    raise UsageError(
        f"{folder} has no {MANAGE}: name the folder that has it, or go there and name the settings, as mysite.settings."
    )


def _settings_of(root: Path) -> str:
    """Return what manage.py would use: the variable if it is set, else what stands in the file. Raises UsageError."""
    named = os.environ.get("DJANGO_SETTINGS_MODULE") or _settings_in(root / MANAGE)
    if named:
        return named
    raise UsageError(
        f"{root / MANAGE} does not say which settings are used: name them with --settings mysite.settings."
    )


def _settings_in(file: Path | None) -> str:
    found = SETTINGS.search(file.read_text(errors="replace")) if file and file.is_file() else None
    return found[1] if found else ""


def _import_root(root: Path, settings: str) -> Path:
    """Return the folder that the settings are imported from: this one, or one around it, as in `python -m`."""
    around = [root, *root.parents[:2]]
    return next((folder for folder in around if settings and _file_of(folder, settings)), root)


def _file_of(root: Path, module: str) -> Path | None:
    """Return the file of a module in the folder; None where there is none."""
    path = root.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _application_of(root: Path, settings: str, door: str) -> str:
    """Return `mysite.wsgi:application` where that module stands beside the settings or above; else nothing.

    What WSGI_APPLICATION and ASGI_APPLICATION say is known only once the settings are loaded.
    """
    package = settings.split(".")[:-1]
    for depth in range(len(package), -1, -1):
        module = ".".join([*package[:depth], door])
        file = _file_of(root, module)
        if file and re.search(r"^application\b", file.read_text(errors="replace"), re.MULTILINE):
            return f"{module}:application"
    return ""


def _door_of(module: str, attribute: str) -> str:
    """Return which door an application is for by its name; ASGI where the name says nothing."""
    return "wsgi" if "wsgi" in f"{module}.{attribute}".lower() else "asgi"
