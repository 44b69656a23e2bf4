"""The half of the tracer that runs in a project's own process. It loads the application and traces a request.

It runs on the standard library alone, from Python 3.10 and Django 4.2 on, and it imports nothing else of the lab. The
lab starts it under the name in `bootstrap.py`, which no project has; inside the lab it is `bench.trace.inside`.
Read `child.py` first.
"""
