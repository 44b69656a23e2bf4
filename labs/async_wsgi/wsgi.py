"""What the server loads: the views of labs/async_asgi, behind WSGI."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.async_asgi.settings"

application = get_wsgi_application()
