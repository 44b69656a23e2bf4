"""The URLs of the one exercise, with its callers counted, and who says how many they were and what they asked."""

from importlib import import_module

from django.conf import settings
from django.urls import URLPattern, path

from labs.common.urls import handler400, handler500, ready  # noqa: F401
from labs.exercises.project.counted import counted
from labs.exercises.project.databases import take_databases
from labs.exercises.project.queries import queries
from labs.traps.census import census


def patterns() -> list[URLPattern]:
    """The exercise's own; one that is about connections is asked through a view that holds them."""
    if settings.NAME == "bounded_connections":
        from labs.async_asgi.views import hold

        return [path("hold", hold)]
    exercise = import_module(settings.EXERCISE)
    if settings.NAME == "traps":
        take_databases(exercise)
    return getattr(exercise, "urlpatterns", [])


urlpatterns = [
    *(path(str(pattern.pattern), counted(pattern.callback)) for pattern in patterns()),
    path("census", census),
    path("queries", queries),
    path("ready", ready),
]
