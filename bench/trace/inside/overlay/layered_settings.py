"""The project's settings, with the changes of `changes.py` made to them once they are loaded.

After their own last line, so that what they import at their end counts; and once more before Django builds its
middlewares, for applications change settings when they load.
"""

from typing import Any

from .changes import CHANGES
from .plan import Plan

MADE: dict[str, dict[str, str]] = {}
"""By the name of the setting: `name`, `to` and `why` of each change that was made. Never a value of the project's."""


def layer(plan: Plan) -> None:
    """Have the changes made to whatever settings this process loads from now on."""
    from django.conf import LazySettings, Settings, settings
    from django.core.handlers.base import BaseHandler

    def loads(self: Any, *words: Any, **more: Any) -> None:
        load(self, *words, **more)
        apply(self, plan)

    def configures(self: Any, *words: Any, **more: Any) -> None:
        configure(self, *words, **more)
        apply(self, plan)

    def builds(self: Any, *words: Any, **more: Any) -> None:
        apply(settings, plan, "an application changed it when it loaded")
        build(self, *words, **more)

    load, configure, build = Settings.__init__, LazySettings.configure, BaseHandler.load_middleware
    replaced: Any = ((Settings, "__init__", loads), (LazySettings, "configure", configures))
    for owner, name, function in (*replaced, (BaseHandler, "load_middleware", builds)):
        setattr(owner, name, function)


def apply(settings: Any, plan: Plan, again: str = "") -> None:
    """Make the changes that are not made yet; `again` says why some have to be made once more."""
    for change in CHANGES:
        for name, value, to, why in change(settings, plan):
            setattr(settings, name, value)
            MADE[name] = {"name": name, "to": to, "why": f"{why}; {again}" if again and name in MADE else why}
