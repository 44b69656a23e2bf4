from labs.common.settings import *  # noqa: F403

ROOT_URLCONF = "labs.async_asgi.urls"
