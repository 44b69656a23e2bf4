"""The timeline marks what befell a window."""

from dataclasses import replace

from matplotlib.patches import Polygon, Rectangle
from matplotlib.text import Annotation, Text

from bench.model.tests import runs
from bench.model.trial_record import Event, Trial
from bench.show.figures import timeline
from bench.show.figures.layout import Picture
from bench.show.tests.test_figures import labels, texts

STACK = "sync_wsgi@gthread:8"
GAP = Event("client-gap", 4.5, 0.4, "The load generator itself was held up for 0.4 s.")


def eventful(*events: Event, **changes: object) -> Trial:
    return replace(runs.trial_of(STACK), events=list(events), **changes)  # type: ignore[arg-type]


def shaded(figure: Picture, code: str) -> list[object]:
    return [patch for kind in (Rectangle, Polygon) for patch in figure.findobj(kind) if patch.get_label() == code]


def test_events_are_marked_in_every_panel_and_named() -> None:
    figure = timeline.timeline([eventful(runs.RESTARTED, GAP)])
    assert len(shaded(figure, "client-gap")) == 3
    assert "server-restarted" in labels(figure)
    assert "a server process ended or started" in texts(figure)
    assert "load generator held up, 0.4 s" in texts(figure)
    assert figure.png()


def test_title_names_the_worst_event_and_counts_the_others() -> None:
    figure = timeline.timeline([eventful(GAP, replace(runs.RESTARTED, at_s=4.9), verdict="invalid")])
    assert figure.finding == (
        f"{STACK} at 100 users, invalid: a server process ended or started at 4.9 s, and 1 more event"
    )
    assert timeline.NO_NUMBER in texts(figure)


def test_freeze_is_told_by_what_either_loop_went_on_to_send() -> None:
    run = runs.freeze()
    (pair,) = timeline.frozen_pairs(run)
    figure = timeline.timeline(pair)
    assert [trial.is_open for trial in pair] == [True, False]
    for trial in pair:
        assert f"{trial.issued:,}" in figure.finding
    assert len(shaded(figure, "frozen")) == 6
    assert timeline.eventful(run) == []


def test_a_freeze_of_one_loop_is_shown_alone() -> None:
    run = runs.freeze()
    alone = replace(run, trials=[trial for trial in run.trials if trial.users])
    ((trial,),) = timeline.frozen_pairs(alone)
    assert "server frozen, 1.0 s" in timeline.timeline([trial]).finding


def test_labels_of_many_events_do_not_touch() -> None:
    events = [replace(GAP, at_s=0.2 * place, for_s=0.1) for place in range(24)]
    figure = timeline.timeline([eventful(*events)])
    figure.draw_without_rendering()
    found = [text for text in figure.findobj(Annotation) if "held up" in text.get_text()]
    boxes = [Text.get_window_extent(text) for text in found]
    assert len(boxes) > 4
    assert not any(one.overlaps(other) for one in boxes for other in boxes if one is not other)
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    assert len(shaded(figure, "client-gap")) == 3 * 24


def test_worst_trials_come_first_and_at_most_six() -> None:
    trials = [eventful(replace(GAP, for_s=0.1 * length), repeat=length) for length in range(1, 10)]
    trials.append(eventful(runs.RESTARTED, verdict="invalid", repeat=77))
    chosen = timeline.eventful(runs.run_of(trials))
    assert [trial.repeat for trial in chosen] == [77, 9, 8, 7, 6, 5]


def test_trial_without_samples_or_answers_can_be_drawn() -> None:
    blank = runs.without_numbers(runs.trial_of(STACK), "invalid", runs.DIED)
    assert timeline.timeline([replace(blank, events=[runs.RESTARTED])]).png()
