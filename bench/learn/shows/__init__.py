"""What instructors show: a screen of large figures, and the demos on it."""
