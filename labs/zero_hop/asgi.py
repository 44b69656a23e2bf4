"""What the server loads: the application of this lab."""

import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.zero_hop.settings"
django.setup(set_prefix=False)

from labs.zero_hop.handler import ZeroHopHandler  # noqa: E402 - after the set-up, as get_asgi_application does it

application = ZeroHopHandler()
