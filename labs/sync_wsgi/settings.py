from labs.common.settings import *  # noqa: F403

ROOT_URLCONF = "labs.sync_wsgi.urls"
