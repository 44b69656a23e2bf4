"""Request parameters and their bounds, the same for every lab. No framework in here."""

BOUNDS = {"ms": (0, 10_000), "n": (1, 100), "cpu": (0, 1000)}
DEFAULTS = {"ms": 100, "n": 5, "cpu": 10}
LONGEST_QUOTE = 40


class BadParameter(ValueError):
    """The sentence to answer with status 400."""


def whole_number(name: str, text: str) -> int:
    """The number in `text`, within the bounds of the parameter `name`; raises BadParameter."""
    least, most = BOUNDS[name]
    # Not int() alone: it takes ' 5', '1_0', '+5' and '٣' as well, and labs must agree on what a number is.
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    quote = text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "..."
    raise BadParameter(f"{name} must be a whole number from {least} to {most}, not '{quote}'.")
