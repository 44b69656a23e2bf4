"""The one list of the traps: each is a module here, with the views `trap` and `instead`."""

from importlib import import_module
from types import ModuleType

TRAPS = (
    "asyncio_run_in_sync_view",
    "sync_orm_in_async_view",
    "lazy_queryset_in_template",
    "request_user_in_async_view",
    "blocking_in_async_view",
    "gather_is_serial",
    "conn_max_age_leak",
    "sync_stream_under_asgi",
    "context_token_across_hop",
)


def module_of(name: str) -> ModuleType:
    """Import and return the module of a trap. Raises ModuleNotFoundError for any other name."""
    return import_module(f"labs.traps.{name}")
