"""A draft as HTML: the first line is its title, blank lines part paragraphs, *stars* emphasise. No other markup."""

import re

from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

BLANK_LINES = re.compile(r"\n\s*\n")
EMPHASIS = re.compile(r"\*(?=\S)([^*]+)(?<=\S)\*")


def rendered(text: str) -> SafeString:
    """Return a draft as HTML, escaped; empty for an empty draft."""
    title, _, body = text.strip().partition("\n")
    if not title:
        return SafeString()
    paragraphs = [(emphasised(paragraph),) for paragraph in BLANK_LINES.split(body.strip()) if paragraph]
    return format_html("<h3>{}</h3>{}", emphasised(title), format_html_join("", "<p>{}</p>", paragraphs))


def emphasised(text: str) -> SafeString:
    """Return the text escaped, with `<em>` for what stands between stars."""
    # Escaped first, so that the tags added here are the only ones there can be.
    return mark_safe(EMPHASIS.sub(r"<em>\1</em>", escape(text)))
