"""Which thread each part of a request runs on: every crossing between event loop and thread, of any Django project.

`observe.py` watches asgiref, `trace.py` is what was seen, `traced.py` wraps an application, `once.py` asks it once.
"""
