"""`request.user` in an async view.

People write: `if request.user.is_authenticated`, as in every sync view.
What happens: a visitor without a session cookie is anonymous without a query, so tests pass. With one,
`request.user` asks the database for session and user, on the loop: SynchronousOnlyOperation, behind both doors.
Instead: `await request.auser()`.
"""

from django.http import HttpRequest, HttpResponse

from labs.common.http import answer


async def trap(request: HttpRequest) -> HttpResponse:
    """Answer the user's name through `request.user`, which reads session and user when it is first used."""
    return answer(name=request.user.get_username())


async def instead(request: HttpRequest) -> HttpResponse:
    """Answer the user's name through `await request.auser()`."""
    user = await request.auser()
    return answer(name=user.get_username())
