"""The settings around one exercise or its solution: the module that LAB_EXERCISE names."""

import os
from importlib import import_module
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from labs.common.middleware import apps_needed_by, middleware_from_names
from labs.common.settings import *  # noqa: F403
from labs.common.settings import INSTALLED_APPS, MIDDLEWARE, TEMPLATES

EXERCISE = os.environ.get("LAB_EXERCISE", "")
if not EXERCISE:
    raise ImproperlyConfigured("LAB_EXERCISE must name the module of an exercise, such as labs.exercises.stream.")
NAME = EXERCISE.rpartition(".")[2]

ROOT_URLCONF = "labs.exercises.project.urls"
TEMPLATES[0]["DIRS"].insert(0, Path(__file__).parents[2] / "traps" / "templates")

# Two exercises are about something else than views. One is about that as well, and wants visitors to be known; its
# DATABASES come later, in database.py.
if NAME == "middleware_hops":
    MIDDLEWARE[:] = [f"{EXERCISE}.Took"]
if NAME == "bounded_connections":
    globals().update({name: value for name, value in vars(import_module(EXERCISE)).items() if name.isupper()})
if NAME == "traps":
    known = middleware_from_names("session,authentication")
    INSTALLED_APPS[:] = [*apps_needed_by(known), "labs.common.shop"]
    MIDDLEWARE[:] = ["labs.exercises.project.leftovers.leftovers", *known, f"{EXERCISE}.VisitorMiddleware"]
