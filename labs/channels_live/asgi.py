"""What the server loads: Django for HTTP, Channels for WebSockets, and the listener to Redis beside both."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.channels_live.settings"
django_application = get_asgi_application()

# After the set-up, as Channels asks for it.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from labs.channels_live.sockets import sockets  # noqa: E402
from labs.common.background import with_background  # noqa: E402
from labs.common.origins import own_pages_only  # noqa: E402

application = with_background(
    ProtocolTypeRouter({"http": django_application, "websocket": own_pages_only(URLRouter(sockets))}),
)
