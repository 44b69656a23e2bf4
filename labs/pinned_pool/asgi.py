"""What the server loads: Django, with its threads taken from a pool of POOL_THREADS."""

import os

from django.core.asgi import get_asgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "labs.pinned_pool.settings"
django_application = get_asgi_application()

from django.conf import settings  # noqa: E402 - of the project that the lines above chose

from labs.pinned_pool.pool import PinnedPool  # noqa: E402

application = PinnedPool(django_application, settings.POOL_THREADS)
