"""Solution: a pool of psycopg's, which lends its connections to whichever thread asks.

Who comes when all are lent waits, in a thread and not on the loop, and after 30 s gives up with an error. What a
request holds while it waits for something else, nobody can have: the bound is paid for in time.
"""

from labs.common.database import database

DATABASES = {"default": {**database(), "OPTIONS": {"pool": {"min_size": 1, "max_size": 4}}}}
