"""What views take and give: a number out of the query, a JSON answer."""

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse

from labs.common.parameters import DEFAULTS, BadParameter, whole_number


def number(request: HttpRequest, name: str, default: int | None = None) -> int:
    """Return a parameter of the query, or its default. Raises BadRequest unless it is a whole number in its bounds."""
    text = request.GET.get(name)
    if text is None:
        return DEFAULTS[name] if default is None else default
    try:
        return whole_number(name, text)
    except BadParameter as error:
        raise BadRequest(str(error)) from None


BLOCK = b"x" * 80_000


def blocks(n: int) -> HttpResponse:
    """Return a response of `n` times 80 kB."""
    body = BLOCK * n
    return HttpResponse(body, content_type="application/octet-stream", headers={"Content-Length": str(len(body))})


def answer(status: int = 200, /, **data: object) -> HttpResponse:
    """Return `data` as a JSON response, with its length in the headers."""
    response = JsonResponse(data, status=status)
    # Django leaves the length to CommonMiddleware; without it the servers would send chunks instead.
    response.headers["Content-Length"] = str(len(response.content))
    return response
