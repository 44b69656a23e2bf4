"""URLs of the editor, its three ways and its event stream, and of the WebSocket."""

from django.urls import path, re_path

from labs.common.files import file
from labs.common.urls import handler500, ready  # noqa: F401
from labs.live_preview import views
from labs.live_preview.consumers import PreviewConsumer
from labs.live_preview.views import handler400, handler404  # noqa: F401

DRAFT = r"^drafts/(?P<name>[-\w]{1,40})/"

urlpatterns = [
    path("", views.new),
    re_path(DRAFT + r"(?P<way>post|stream|socket)$", views.editor, name="editor"),
    re_path(DRAFT + r"events$", views.events, name="events"),
    path("static/<name>", file),
    path("ready", ready),
    path("whoami", views.whoami),
]
socket_urls = [re_path(DRAFT + r"socket$", PreviewConsumer.as_asgi())]
