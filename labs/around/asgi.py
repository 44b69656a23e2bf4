"""What the server loads: the application of this lab."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.around.settings"

application = get_asgi_application()
