"""A recorded scene in a lesson's cell."""

import pytest

from bench.base.errors import UsageError
from bench.learn.room.scenes import SCENES
from bench.learn.room.widget import _widget, play_scene
from bench.learn.sliders import ASKED_FOR, FRONT_END


@pytest.mark.parametrize("name", [scene.name for scene in SCENES])
def test_every_scene_was_recorded_and_a_cell_without_front_end_says_how_to_play_it(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (FRONT_END, ASKED_FOR):
        monkeypatch.delenv(variable, raising=False)
    play_scene(name)
    assert f"`lab room --replay {name}`" in capsys.readouterr().out


def test_a_scene_that_was_not_recorded_is_refused() -> None:
    with pytest.raises(UsageError, match="There is no file"):
        play_scene("no_such_scene")


def test_a_widget_has_the_renderer_and_the_recording() -> None:
    widget = _widget({"frames": [], "made_at": "now", "machine": {}})
    assert "class Player" in widget._esm
    assert widget.recording["made_at"] == "now"
