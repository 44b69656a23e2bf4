"""What this process runs on, in its own words: interpreter, GIL, and the packages that it has loaded."""

import os
import sys

IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}


def runtime() -> dict[str, object]:
    """Return `python`, such as `CPython 3.13.5t`, `gil`, `pid`, and `versions` of what is loaded, by module name.

    A `t` marks a build that can run without the GIL; there `gil` can still be true, because PYTHON_GIL=1 or a module
    that is not made for it turns the lock on (https://docs.python.org/3/howto/free-threading-python.html).
    Nothing is imported or read for this: it must not change the process that it describes.
    """
    name = sys.implementation.name
    mark = "t" if "free-threading build" in sys.version else ""
    return {
        "python": f"{IMPLEMENTATIONS.get(name, name)} {sys.version.split()[0]}{mark}",
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "pid": os.getpid(),
        "versions": _loaded_versions(),
    }


def _loaded_versions() -> dict[str, str]:
    """Return `__version__` of each loaded top-level module outside of the standard library that has one."""
    found = {}
    for name, module in sorted(sys.modules.items()):
        version = getattr(module, "__dict__", {}).get("__version__")  # not getattr: a lazy module would be loaded
        if "." not in name and name not in sys.stdlib_module_names and isinstance(version, str):
            found[name] = version
    return found
