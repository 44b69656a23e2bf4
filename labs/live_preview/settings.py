from pathlib import Path

from labs.common.settings import *  # noqa: F403
from labs.common.settings import TEMPLATES as COMMON_TEMPLATES
from labs.live_preview.drafts import MOST_CHARACTERS

ROOT_URLCONF = "labs.live_preview.urls"
TEMPLATES = [{**COMMON_TEMPLATES[0], "DIRS": [Path(__file__).parent / "templates", *COMMON_TEMPLATES[0]["DIRS"]]}]

# The longest draft there is takes four bytes a character, and a form spells a byte with three.
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * MOST_CHARACTERS + 1000
