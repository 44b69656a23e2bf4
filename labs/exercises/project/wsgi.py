"""What the server loads behind WSGI: the project around one exercise."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.exercises.project.settings"

application = get_wsgi_application()
