"""The settings that all labs share, with this lab's templates, and room for the longest draft."""

from pathlib import Path

from labs.common.settings import *  # noqa: F403
from labs.common.settings import LOGGING, TEMPLATES
from labs.live_preview.drafts import MOST_CHARACTERS

ROOT_URLCONF = "labs.live_preview.urls"
TEMPLATES[0]["DIRS"].insert(0, Path(__file__).parent / "templates")

# The longest draft there is takes four bytes a character, and a form spells a byte with three.
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * MOST_CHARACTERS + 1000
# What follows from that is an answer like others and leaves no trace in the log.
LOGGING["loggers"]["django.security.RequestDataTooBig"] = {"level": "CRITICAL"}
