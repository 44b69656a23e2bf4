"""What needs no load to be shown: traps, calls on an event loop, Django's a-methods version by version."""
