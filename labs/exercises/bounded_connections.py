"""Exercise: as many database connections as visitors, without bound.

Behind ASGI each request in flight has its own thread, and so its own connection, which it keeps until it is answered.
The visitors ask for `hold` of labs/async_asgi/views.py: one query, then a wait for something else. You change the
settings: the check uses each setting that stands in this file, also a MIDDLEWARE with a queue.

Task: 20 visitors come at once. They may take at most 4 connections, and all of them must be answered.
Run: lab check bounded_connections (it needs a PostgreSQL; `lab doctor` says whether there is one)
Hint: the option `pool`, https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool
"""

from labs.common.database import database

DATABASES = {"default": {**database()}}
