"""Rows and findings of a run as tables: in a terminal, as Markdown, as JSON."""
