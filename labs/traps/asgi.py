"""What the server loads behind ASGI: all traps."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.traps.settings"

application = get_asgi_application()
