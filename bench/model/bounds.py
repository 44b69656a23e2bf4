"""Types with bounds for the numbers, names and texts of a run, checked when a run is read."""

from typing import Annotated

from msgspec import Meta

# No lab writes values beyond these bounds, and no arithmetic overflows within them.
MOST = 10**15
MAX_USERS, MAX_CONNECTIONS = 10_000, 50_000
Whole = Annotated[int, Meta(ge=-MOST, le=MOST)]
Count = Annotated[int, Meta(ge=0, le=MOST)]
Some = Annotated[int, Meta(ge=1, le=MOST)]
Users = Annotated[int, Meta(ge=1, le=MAX_USERS)]
Connections = Annotated[int, Meta(ge=1, le=MAX_CONNECTIONS)]
Number = Annotated[float, Meta(ge=-MOST, le=MOST)]
Amount = Annotated[float, Meta(ge=0, le=MOST)]
Width = Annotated[float, Meta(gt=0, le=MOST)]
Name = Annotated[str, Meta(max_length=100, pattern=r"^[ -~]*\Z")]
Text = Annotated[str, Meta(max_length=10_000)]
Encoded = Annotated[str, Meta(max_length=1_000_000)]
MATTERS_FROM = 0.05
"""The share from which a change between two runs matters, if nobody says another."""
