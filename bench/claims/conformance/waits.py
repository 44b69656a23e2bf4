"""How long the client waits. Read as `waits.NAME` when something is waited for, so that a test can wait less."""

ANSWERS_S = 20.0
"""For what every server does at once, and only a broken one never."""
NEVER_S = 5.0
"""For what some servers never do: each of them costs so many seconds, twice."""
QUIET_S = 3.0
"""What has not changed for so many seconds has come to rest."""
