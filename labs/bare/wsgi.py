"""WSGI without a framework: the server calls a function in one of its threads and sends what it returns."""

import time
from wsgiref.types import StartResponse, WSGIEnvironment

from labs.common.plain import answer_to


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer one request, after the wait that it asks for; return the body as one part."""
    answer = answer_to(environ["PATH_INFO"], environ.get("QUERY_STRING", "").encode("latin-1"))
    if answer.wait_s:
        time.sleep(answer.wait_s)
    start_response(f"{answer.status.value} {answer.status.phrase}", answer.headers)
    return [answer.body]
