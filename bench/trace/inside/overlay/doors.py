"""The project's applications as a server or the tracer imports them: `doors:wsgi` and `doors:asgi`.

Loading one prepares this process first, once: see `__init__.py`.
"""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..app_loader import FAILED, Refused, error_text, load_application, why_it_failed
from .changes import IN_MEMORY_BROKER, IN_MEMORY_RESULTS
from .plan import Plan, read_plan

DOORS = ("wsgi", "asgi")
SETTINGS = "DJANGO_SETTINGS_MODULE"
BROKEN: dict[str, str] = {}
"""Applications of the project that cannot be imported, as `module:attribute`, and why: Django's own stand in."""


def __getattr__(name: str) -> Any:
    """An application, loaded when it is asked for. Raises Refused where it cannot be."""
    if name not in DOORS:
        raise AttributeError(name)
    return load_door(name)


@cache
def load_door(door: str) -> Any:
    """Load the project's application behind a door; Django's own where it has none. Raises Refused."""
    application = _load(door, prepare())
    keep_tasks_in_memory()
    return application


def load_any_door() -> None:
    """Load the project as one of its own applications does: that one may set the import path, and more."""
    plan = prepare()
    load_door("asgi" if plan.asgi and not plan.wsgi else "wsgi")


def read_settings() -> Any:
    """The settings, read without an application where that can be done. Raises Refused."""
    plan = prepare()
    from django.conf import settings

    try:
        if plan.settings:
            _ = settings.DATABASES
    except ModuleNotFoundError:  # of a folder that an application puts on the import path
        load_any_door()
    except BaseException as error:
        raise Refused(_why_no_settings(error), FAILED) from None
    if not plan.settings:
        load_any_door()
    return settings


def _load(door: str, plan: Plan) -> Any:
    """The application, or Django's own where it has none, and where its module exists and cannot be imported."""
    named = getattr(plan, door) or _named_by_settings(door)
    if not named:
        return _load_djangos_own(door, plan)
    try:
        return load_application(named, plan.hides)[0]
    except Refused as refused:
        if not _is_broken(named.partition(":")[0]):
            raise
        try:
            application = _load_djangos_own(door, plan)
        except Refused:
            raise Refused(str(refused), FAILED) from None
        BROKEN[named] = str(refused)
        return application


def _load_djangos_own(door: str, plan: Plan) -> Any:
    try:
        module = import_module(f"django.core.{door}")
        return getattr(module, f"get_{door}_application")()
    except BaseException as error:
        raise Refused(f"{plan.settings} cannot be loaded ({why_it_failed(error)}): mend that first.", FAILED) from None


def _is_broken(module: str) -> bool:
    """Whether a module is there, but its import failed."""
    try:
        return module not in sys.modules and find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@cache
def prepare() -> Plan:
    """Make this process one in which the project may be loaded. Raises Refused where Django is missing."""
    plan = read_plan()
    here = os.getcwd()
    sys.path[:] = [here, *(folder for folder in sys.path if folder not in (here, plan.hides))]
    if plan.packages and plan.packages not in sys.path:
        sys.path.append(plan.packages)
    if plan.settings:
        os.environ[SETTINGS] = plan.settings
    if not plan.allows_network:
        from .network import refuse_connections

        refuse_connections()
    try:
        from .layered_settings import layer
        from .statements import note_statements

        layer(plan)
    except ModuleNotFoundError as error:
        raise Refused(
            f"{sys.executable} cannot import Django ({error_text(error)}): name the project's Python with --python."
        ) from None
    if not plan.is_measured:
        note_statements()
    return plan


def keep_tasks_in_memory() -> None:
    """Let every application of Celery that is loaded hand its tasks to this process alone, whatever configured it."""
    state: Any = sys.modules.get("celery._state")
    for application in state._get_active_apps() if state else ():
        application.conf.update(broker_url=IN_MEMORY_BROKER, result_backend=IN_MEMORY_RESULTS)


def _named_by_settings(door: str) -> str:
    """What WSGI_APPLICATION or ASGI_APPLICATION says, as `module:attribute`."""
    from django.conf import settings

    try:
        module, _, attribute = str(getattr(settings, f"{door.upper()}_APPLICATION", None) or "").rpartition(".")
    except BaseException as error:
        raise Refused(_why_no_settings(error), FAILED) from None
    return f"{module}:{attribute}" if module else ""


def _why_no_settings(error: BaseException) -> str:
    name = os.environ.get(SETTINGS, "the settings")
    return f"{name} cannot be loaded ({why_it_failed(error)}): set what it asks for, or name others with --settings."
