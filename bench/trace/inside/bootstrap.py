"""The command that starts the tracer in a project's interpreter, under a name that no project has.

Nothing of ours gets onto the import path, and the current folder leaves it until the application is loaded: a module of
the project that is named like one of the standard library is not what we import.
"""

from pathlib import Path

NAME = "_django_asgi_lab_tracer"
TRACED = f"{NAME}.traced_app:application"
"""What a server is given in the application's place."""
OLDEST = (3, 10)
TOO_OLD = "lab: too old: "
# Also an interpreter that is too old has to understand this, to say so.
BEGIN = f"""
import sys
sys.path[:] = [folder for folder in sys.path if folder]
if sys.version_info < {OLDEST}:
    sys.exit("{TOO_OLD}%s is Python %d.%d, the tracer needs {OLDEST[0]}.{OLDEST[1]} or newer"
             % ((sys.executable,) + tuple(sys.version_info[:2])))
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
folder, module, entry = sys.argv[1:4]
spec = spec_from_file_location({NAME!r}, folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules[{NAME!r}] = module_from_spec(spec)
spec.loader.exec_module(sys.modules[{NAME!r}])
sys.argv[:] = ["lab-trace"] + sys.argv[4:]
getattr(import_module({NAME!r} + "." + module), entry)()
"""


def command(program: str, module: str, entry: str, *words: str) -> list[str]:
    """The command that calls a function of one of our modules in that interpreter, with these words in `sys.argv`."""
    return [program, "-c", BEGIN, str(Path(__file__).parent), module, entry, *words]
