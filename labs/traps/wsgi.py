"""What the server loads behind WSGI: all traps."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.traps.settings"

application = get_wsgi_application()
