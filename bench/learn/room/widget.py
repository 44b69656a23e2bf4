"""A recorded scene of the room in a lesson's cell, to play and to move in time."""

import importlib.util
from typing import Any

from bench.base.errors import MissingDependency
from bench.learn.room.recorded_scenes import SCENES_FOLDER, SUFFIX
from bench.learn.sliders import has_front_end
from bench.model.room_recording import read_recording
from bench.show.replay import joined_modules, style

RENDER = "export default { render({ model, el }) { new Player(el, model.get('recording')); } };"


def play_scene(name: str) -> None:
    """Show the recorded scene; without a front end that runs scripts, say how to see it.

    UsageError if it was not recorded, MissingDependency with the command that installs the package.
    """
    recording = read_recording(SCENES_FOLDER / f"{name}{SUFFIX}")
    if has_front_end():
        from IPython.display import display

        display(_widget(recording.to_json()))
    else:
        print(f"Open this lesson with `lab notebooks` to play the scene here, or run `lab room --replay {name}`.")


def _widget(recording: dict[str, Any]) -> Any:
    if importlib.util.find_spec("anywidget") is None:
        raise MissingDependency(
            "A scene in a cell needs the package anywidget, which is not installed: "
            "run `python -m pip install anywidget`."
        )
    import anywidget  # type: ignore[import-not-found,import-untyped,unused-ignore]
    import traitlets

    class Scene(anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
        """The renderer on one recording."""

        _esm = f"{joined_modules()}\n{RENDER}"
        _css = style()
        recording = traitlets.Dict().tag(sync=True)

    return Scene(recording=recording)
