"""A project as `lab try` runs it, in the project's own process: its settings with a few changes on top, harming nobody.

`doors.py` is what a server or the tracer is given in the application's place. When it is asked for an application, it
reads the plan (`plan.py`), refuses connections off this machine (`network.py`), changes settings (`changes.py` in
`layered_settings.py`) and loads the project's own. The rest are processes of their own: `describing.py`, `asking.py`,
`preparing.py`. Nothing of this is written to the project's folder.
"""
