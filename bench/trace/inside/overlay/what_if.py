"""The lab's own handlers around a project, as `--what-if` asks: what they would give, without a change to it.

Each is a file of `labs/`, which needs Django and asgiref alone and is loaded from its place under a name of ours.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from ..app_loader import FAILED, Refused, error_text
from .plan import Plan

NAMES = ("zero_hop", "folded", "pinned_pool")
SYNC_ONLY = f"{__name__}.sync_only"
STOCK = {
    "django.middleware.security.SecurityMiddleware": "Security",
    "django.contrib.sessions.middleware.SessionMiddleware": "Session",
    "django.middleware.common.CommonMiddleware": "Common",
    "django.middleware.csrf.CsrfViewMiddleware": "Csrf",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "Authentication",
    "django.contrib.messages.middleware.MessageMiddleware": "Message",
    "django.middleware.clickjacking.XFrameOptionsMiddleware": "XFrameOptions",
}
"""Django's middlewares, and what stands for them in `labs/zero_hop/middleware.py`."""


def sync_only(get_response: Any) -> Any:
    """A middleware that does nothing and is sync: innermost, it makes Django run all others in one crossing."""

    def pass_on(request: Any) -> Any:
        return get_response(request)

    return pass_on


def changed_middlewares(middlewares: Any, plan: Plan) -> list[Any]:
    """The middlewares as the handler wants them. Raises Refused where the lab's file cannot be loaded here.

    zero_hop's can be loaded once the applications are, before Django builds its middlewares.
    """
    from django.apps import apps

    if plan.what_if == "folded" and SYNC_ONLY not in middlewares:
        return [*middlewares, SYNC_ONLY]
    if plan.what_if == "zero_hop" and apps.ready and any(name in STOCK for name in middlewares):
        module = _load(plan, "zero_hop/middleware.py").__name__
        return [f"{module}.{STOCK[name]}" if name in STOCK else name for name in middlewares]
    return list(middlewares)


def changed_handler(application: Any, plan: Plan) -> Any:
    """The ASGI application with the handler that is asked for. Raises Refused where that does not fit the project."""
    if plan.what_if == "pinned_pool":
        return _load(plan, "pinned_pool/pool.py").PinnedPool(application, plan.threads)
    if plan.what_if != "zero_hop":
        return application
    from django.core.handlers.asgi import ASGIHandler

    if type(application) is not ASGIHandler:
        kind = type(application).__qualname__
        raise Refused(f"zero_hop takes the place of Django's handler, and the project's is {kind}.", FAILED)
    return _load(plan, "zero_hop/handler.py").ZeroHopHandler()


def _load(plan: Plan, file: str) -> Any:
    """Load a file of the lab's as a module of its own."""
    name = f"_django_asgi_lab_{file.removesuffix('.py').replace('/', '_')}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, Path(plan.labs, file))
        assert spec
        assert spec.loader
        sys.modules[name] = module = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise Refused(f"{plan.what_if} does not run here: {error_text(error)}.", FAILED) from None
    return sys.modules[name]
