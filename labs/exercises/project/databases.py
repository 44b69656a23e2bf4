"""The DATABASES of an exercise that has models as well: settings, which come before all models, cannot import it."""

from types import ModuleType

from django.conf import settings
from django.db import connections


def take_databases(exercise: ModuleType) -> None:
    """For the threads to come, each of which makes its own connections; nothing has been asked before."""
    connections.settings = connections.configure_settings(getattr(exercise, "DATABASES", settings.DATABASES))
