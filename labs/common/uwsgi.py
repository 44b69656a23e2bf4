"""`python -m labs.common.uwsgi OPTION ... APPLICATION`: uWSGI, whose wheel pyuwsgi is no module that Python can run."""

import sys

import pyuwsgi

if __name__ == "__main__":
    *options, application = sys.argv[1:]
    # It starts this program again to reload, and would look for the interpreter behind that of a virtual environment.
    pyuwsgi.run([*options, "--binary-path", sys.executable, "--module", application])
