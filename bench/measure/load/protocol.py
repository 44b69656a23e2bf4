"""What load processes and their starters agree on. Imports nothing, so that both sides may import it."""

REFUSED = 3
"""Exit status of a worker whose master asks it to load a host that is not known to be the user's."""
MASTER_GONE = 4
"""Exit status of a worker that has not heard of its master for too long."""

# Lines that a worker prints, each alone.
WORKING = "working"
DONE = "done"
