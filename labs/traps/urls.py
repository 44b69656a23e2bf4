"""Two URLs for each trap, `/NAME` and `/NAME/instead`, and what the bench asks."""

from django.urls import path

from labs.common.files import file
from labs.common.urls import handler400, handler500, ready  # noqa: F401
from labs.traps.census import census
from labs.traps.index import handler404, index  # noqa: F401
from labs.traps.lazy_queryset_in_template import trap_silent
from labs.traps.names import TRAPS, module_of
from labs.traps.sign_in import sign_in
from labs.traps.sync_stream_under_asgi import trap_behind_wsgi

urlpatterns = [
    path("", index, name="index"),
    *(path(name, module_of(name).trap) for name in TRAPS),
    *(path(f"{name}/instead", module_of(name).instead) for name in TRAPS),
    path("lazy_queryset_in_template/silent", trap_silent),
    path("sync_stream_under_asgi/behind_wsgi", trap_behind_wsgi),
    path("sign_in", sign_in),
    path("census", census),
    path("static/<name>", file),
    path("ready", ready),
]
