"""The URLs that all labs share, answered by the views that this lab has."""

from labs.common.urls import handler400, handler404, handler500, workload_urls  # noqa: F401

from . import views

urlpatterns = workload_urls(views)
