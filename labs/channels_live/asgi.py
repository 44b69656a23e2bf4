import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.channels_live.settings"
django_application = get_asgi_application()

# After the set-up, as Channels asks for it.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402

from labs.channels_live.sockets import sockets  # noqa: E402
from labs.common.background import with_background  # noqa: E402

websocket_application = AllowedHostsOriginValidator(URLRouter(sockets))
application = with_background(
    ProtocolTypeRouter({"http": django_application, "websocket": websocket_application}),
)
