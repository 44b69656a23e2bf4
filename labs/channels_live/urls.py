"""The URLs that all labs share, the page of a chat room, and `/process`."""

from django.urls import path, re_path

from labs.async_asgi import views as workloads
from labs.common.urls import handler400, handler404, handler500, workload_urls  # noqa: F401

from . import views
from .rooms import ROOM

urlpatterns = [*workload_urls(workloads), re_path(f"^chat/{ROOM}$", views.chat), path("process", views.process)]
