"""A recording in a page: one script, nothing from elsewhere, and no text that could end it."""

import re

from bench.model.room_recording import RoomRecording
from bench.show.replay import LANES, MODULES, joined_modules, replay_markup

ATTACK = "</script><script>window.ran = true</script>"


def test_all_modules_are_joined_and_none_is_imported() -> None:
    script = joined_modules()
    assert {path.stem for path in LANES.glob("*.js")} == set(MODULES)
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    for name in ("class Stage", "class Lanes", "function replay", "class Player"):
        assert script.count(f"{name}") == 1
    assert not re.search(r"https?://", script)


def test_no_text_of_a_recording_ends_its_script() -> None:
    html = replay_markup(RoomRecording("now", {"cpu": ATTACK}, [{"at_s": 0, "says": ATTACK}], []))
    assert html.count("</script>") == 2
    assert "<script>window" not in html
