"""What the server loads behind WSGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.live_preview.settings"

application = get_wsgi_application()
