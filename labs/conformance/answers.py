"""What both interfaces answer alike."""

import json
import os

MIB, LARGE_PARTS = 2**20, 32
FIRST_READ_BYTES, READ_BYTES = 1024, 65536
"""What a WSGI application reads of an upload: at first, which is less than the first part that a client sends; then."""


def ready() -> bytes:
    """Return the name that the server was given at its start, as in every lab."""
    return json.dumps({"instance": os.environ.get("LAB_INSTANCE", "")}).encode()


def described(**seen: object) -> bytes:
    """Return what the application saw of a request, and in which process, as JSON."""
    return json.dumps(seen | {"pid": os.getpid()}).encode()
