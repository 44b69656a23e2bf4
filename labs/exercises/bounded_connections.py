"""Exercise: as many database connections as visitors, without bound.

Behind ASGI each request in flight has a thread of its own, and with it a connection of its own, which it keeps until it
is answered. The view that is asked is `hold` of labs/async_asgi/views.py: one query, then a wait for something else.
What you change are the settings: each that this file names is taken, a MIDDLEWARE with a queue as well.

Task: 20 visitors come at once. Let them take at most 4 connections, and let all of them be answered.
Run: lab check bounded_connections (it needs a PostgreSQL; `lab doctor` says whether there is one)
Hint: the option `pool`, https://docs.djangoproject.com/en/5.2/ref/databases/#connection-pool
"""

from labs.common.database import database

DATABASES = {"default": {**database()}}
