"""`lab try`: whether a Django project should move from WSGI to ASGI, found out without a change to it.

Read `model.py` first, for what is found, then `examine.py`, for the order in which it is.
"""
