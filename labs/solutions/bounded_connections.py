"""Solution: a psycopg pool, which lends its connections to the threads that ask.

When all are lent, a request waits, in a thread and not on the loop, and fails after 30 s. A request keeps its
connection while it waits for something else, so the others wait longer: that is the price of the bound.
"""

from labs.common.database import database

DATABASES = {"default": {**database(), "OPTIONS": {"pool": {"min_size": 1, "max_size": 4}}}}
