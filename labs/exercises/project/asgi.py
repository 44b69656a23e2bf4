"""What the server loads behind ASGI: the project around one exercise."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.exercises.project.settings"

application = get_asgi_application()
