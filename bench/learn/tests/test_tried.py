"""What lesson 12 shows: the answers to the three projects, without a trace of the machine that tried them."""

import pytest

from bench.base.files import ROOT
from bench.learn.your_project import known


@pytest.mark.parametrize(
    ("name", "value"), [("should_switch", "switch"), ("should_stay", "stay"), ("cannot_tell", "cannot tell")]
)
def test_each_project_has_the_answer_that_is_known(name: str, value: str) -> None:
    tried = known.load_tried(name)
    assert tried["answer"]["value"] == value
    assert tried["command"].startswith(f"lab try labs/to_try/{name} /")
    assert tried["pages"]


def test_nothing_that_is_kept_names_a_folder_of_the_machine() -> None:
    text = known.FILE.read_text()
    assert str(ROOT) not in text
    assert "/home/" not in text
    assert "/tmp/" not in text
