"""One request of one application, as the lab hands it to the process that sends it."""

from dataclasses import dataclass, field
from urllib.parse import quote

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing, so that sending one twice is no harm. Source: RFC 9110, 9.2.1."""
URL_CHARACTERS = "/%?:@!$&'()*+,;=~-._"
"""What stays as it is when a path is percent-encoded: it may be encoded already."""


@dataclass(frozen=True)
class RequestSpec:
    """One request of an application.

    `warm_up`: send it once before, untraced, because a first request imports and connects; done for safe methods only.
    `leave_after_s`: the client goes away after so long; None: it waits for the whole answer. `time_limit_s`: when the
    process writes down what it has seen so far. `hides`: a folder that the application is not to import from.
    `blocking_ms`: look for what keeps the loop from turning for so long, instead of tracing hops.
    """

    app: str
    path: str
    method: str = "GET"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""
    warm_up: bool = True
    leave_after_s: float | None = None
    time_limit_s: float = 30.0
    hides: str = ""
    blocking_ms: float | None = None

    @property
    def times(self) -> int:
        """How often it is sent: twice with a warm-up; once where the client leaves, for then the first may not end."""
        return 2 if self.warm_up and self.method in SAFE_METHODS and self.leave_after_s is None else 1

    @property
    def target(self) -> tuple[str, str]:
        """Path and query, percent-encoded as a browser sends them."""
        path, _, query = quote(self.path, safe=URL_CHARACTERS).partition("?")
        return path, query

    @property
    def all_headers(self) -> dict[str, str]:
        """By lower-case name, the last one of a name; with a host, and the length of a body."""
        length = {"content-length": str(len(self.body.encode()))} if self.body else {}
        return {"host": "localhost", **length, **{name.lower(): value for name, value in self.headers}}

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """As they go over the wire, in UTF-8."""
        return [(name.encode(), value.encode()) for name, value in self.all_headers.items()]

    @property
    def scheme(self) -> str:
        """As servers behind a proxy on the same machine read it."""
        return "https" if self.all_headers.get("x-forwarded-proto", "").lower() == "https" else "http"
