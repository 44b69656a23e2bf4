"""What people say of Django, WSGI and ASGI, and what happens here: `claims.toml`, and a finding computed for each.

Read `schema.py` first: what an entry is.
"""
