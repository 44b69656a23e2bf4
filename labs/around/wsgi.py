"""What the server loads: the application of this lab."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.around.settings"

application = get_wsgi_application()
