"""Which thread each part of a request runs on: every crossing between event loop and thread, of any Django project.

`inside` runs in the project's own process; all else stays with the lab.
"""
