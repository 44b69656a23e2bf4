"""Settings for Django's own test runner that put `ZeroHopHandler` in the place of `ASGIHandler`.

At the end it says how many signals were sent on the loop: a suite that took Django's way throughout proves nothing.
"""

import atexit
import sys
from typing import Any

import django.core.asgi
import django.core.handlers.asgi
from django.dispatch import Signal
from test_sqlite import *  # type: ignore[import-not-found]  # noqa: F403 - Django's own, beside its runner

from labs.zero_hop.handler import ZeroHopHandler, has_thread

on_the_loop = 0


class Counted(ZeroHopHandler):
    async def announce(self, signal: Signal, **named: Any) -> None:
        global on_the_loop
        await super().announce(signal, **named)
        on_the_loop += not has_thread()


django.core.handlers.asgi.ASGIHandler = django.core.asgi.ASGIHandler = Counted
atexit.register(lambda: print(f"signals sent on the loop: {on_the_loop}", file=sys.stderr))
