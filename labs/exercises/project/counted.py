"""Counts who is inside a view, and inside what it streams, so that the view itself need not."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest

from labs.common.gauge import inside


def counted(view: Any) -> Any:
    """The view with its callers counted; sync stays sync and async stays async."""
    if iscoroutinefunction(view):

        async def counted_async(request: HttpRequest) -> Any:
            with inside():
                response = await view(request)
            return with_parts_counted(response)

        return counted_async

    def counted_sync(request: HttpRequest) -> Any:
        with inside():
            response = view(request)
        return with_parts_counted(response)

    return counted_sync


def with_parts_counted(response: Any) -> Any:
    """The response; the reader of a stream counts as inside until the last part has been made."""
    if getattr(response, "streaming", False):
        parts = response.streaming_content
        response.streaming_content = counted_parts_async(parts) if response.is_async else counted_parts(parts)
    return response


def counted_parts(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the parts, counted as inside until the last one."""
    with inside():
        yield from parts


async def counted_parts_async(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts, counted as inside until the last one."""
    with inside():
        async for part in parts:
            yield part
