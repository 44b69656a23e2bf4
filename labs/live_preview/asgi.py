"""What the server loads behind ASGI: Django for HTTP, Channels for WebSockets from the lab's own pages."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.live_preview.settings"
django_application = get_asgi_application()

# After the set-up: what follows reads settings.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from labs.common.origins import own_pages_only  # noqa: E402
from labs.live_preview.urls import socket_urls  # noqa: E402

# Browsers let any page open a socket to any server and send this server's cookies along: only the origin tells.
application = ProtocolTypeRouter({"http": django_application, "websocket": own_pages_only(URLRouter(socket_urls))})
