"""The settings of the async view below `/django`: stock Django without middleware and database."""

from labs.common.settings import *  # noqa: F403

ROOT_URLCONF = "labs.conformance.project"
INSTALLED_APPS = []
DATABASES = {}
