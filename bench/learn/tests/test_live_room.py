"""The room without a browser: what its frames say is what gauge, kernel and driver say, and its controls work."""

import asyncio
import gzip
import json
import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from bench.base.errors import DamagedRun, ExitCode, UsageError
from bench.base.polling import eventually
from bench.learn.room.lane import Lane
from bench.learn.room.recorded_scenes import record_scene
from bench.learn.room.scenes import SCENES
from bench.learn.room.settings import LONGEST_PREDICTION, Settings, read_settings
from bench.learn.tests.opened_room import Frame, OpenedRoom, all_serve, open_room
from bench.measure.tests.made_environments import make_environment
from bench.measure.tests.postgresql import require_postgresql
from bench.measure.tests.processes import assert_nothing_is_left, lab
from bench.model import environments
from bench.model.room_recording import KIND, VERSION, RecordingWriter, read_recording
from bench.model.stacks import parse_stack

pytestmark = pytest.mark.slow

SYNC_WSGI, SYNC_ASGI, ASYNC_ASGI = range(3)
NEUTRAL = Settings(visitors=10, wait_ms=100)


@pytest.fixture(scope="module")
def opened() -> Iterator[OpenedRoom]:
    """One room for all tests, its lanes those that a room begins with."""
    with open_room() as room:
        yield room


@pytest.fixture
def room(opened: OpenedRoom) -> OpenedRoom:
    """The room as it begins, all servers ready and all visitors in a view."""
    changes = {name: value for name, value in vars(NEUTRAL).items() if name not in ("predictions", "fixed_lanes")}
    opened.change(**changes | {"lanes": list(NEUTRAL.lanes)})
    opened.until(lambda frame: all_serve(frame) and all(lane.get("inside") for lane in frame["lanes"]))
    return opened


def inside(frame: Frame) -> list[Any]:
    return [lane.get("inside") if lane["state"] == "serving" else None for lane in frame["lanes"]]


def test_every_sample_says_what_gauge_and_driver_say(room: OpenedRoom) -> None:
    room.change(visitors=40, wait_ms=50)
    frames = room.during(2.5)
    lanes = [lane for frame in frames for lane in frame["lanes"] if lane["state"] == "serving"]
    assert len(lanes) > 45
    for lane in lanes:
        dots = lane["places"].count("i") + sum(place == "i" for _, place in lane["leavers"])
        assert dots == lane["inside"] == lane["gauge"]["now"]
        assert lane["sent"] == lane["answered"] + lane["failed"] + lane["left"] + lane["cut"] + lane["in_flight"]
        assert lane["places"].count("q") <= lane["accept_queue"]
        assert lane["answered"] <= lane["gauge"]["ended"]
    for before, after in pairwise(frames):
        for earlier, later in zip(before["lanes"], after["lanes"], strict=True):
            assert sum(map(int, later["answers"])) == later["answered"] - earlier["answered"]


def test_threads_memory_and_gauge_are_those_of_the_process(room: OpenedRoom) -> None:
    room.change(visitors=20, wait_ms=10_000)
    room.until(lambda frame: inside(frame) == [8, 20, 20])
    frame = room.until(lambda frame: [lane["threads"] for lane in frame["lanes"]] == _threads(frame))
    for lane in frame["lanes"]:
        assert lane["rss_bytes"] > 20e6
    for lane in (frame["lanes"][SYNC_ASGI], frame["lanes"][ASYNC_ASGI]):
        gauge = httpx.get(f"http://127.0.0.1:{lane['port']}/whoami", trust_env=False, timeout=10).json()
        assert gauge["inside_now"] == lane["inside"] == 20


def _threads(frame: Frame) -> list[int]:
    """What the kernel says now of each server and its processes."""
    servers = [psutil.Process(lane["pid"]) for lane in frame["lanes"]]
    families = [[server, *server.children(recursive=True)] for server in servers]
    return [sum(each.num_threads() for each in family) for family in families]


def test_a_blocking_line_lets_one_into_the_async_view_and_leaves_the_sync_view_alone(room: OpenedRoom) -> None:
    room.change(blocking=True)
    room.until(lambda frame: inside(frame) == [8, 10, 1])
    for frame in room.during(2.0):
        assert frame["lanes"][ASYNC_ASGI]["inside"] <= 1
        assert frame["lanes"][ASYNC_ASGI]["slots"] == 1
    room.change(blocking=False)
    room.until(lambda frame: inside(frame) == [8, 10, 10])


def test_visitors_wait_and_threads_show_in_the_gauge(room: OpenedRoom) -> None:
    room.change(visitors=30, wait_ms=5000)
    room.until(lambda frame: inside(frame) == [8, 30, 30])
    room.change(threads=4)
    assert room.until(lambda frame: inside(frame)[0] is None)["lanes"][SYNC_WSGI]["state"] == "starting"
    frame = room.until(lambda frame: inside(frame) == [4, 30, 30])
    assert [lane["stack"] for lane in frame["lanes"]][SYNC_WSGI] == "sync_wsgi@gthread:4"
    room.change(visitors=3, wait_ms=200)
    frame = room.until(lambda frame: inside(frame)[1:] == [3, 3])
    assert frame["lanes"][SYNC_WSGI]["places"].count("o") <= 3


def test_cpu_of_a_view_is_what_the_kernel_counts(room: OpenedRoom) -> None:
    room.change(visitors=2, wait_ms=100, cpu_ms=20)
    room.until(lambda frame: all((lane.get("cpu_us_per_request") or 0) > 20_000 for lane in frame["lanes"]))


def test_the_seven_middlewares_are_in_every_server(room: OpenedRoom) -> None:
    room.change(middleware=True)
    room.until(lambda frame: inside(frame)[0] is None)
    for lane in room.until(all_serve)["lanes"]:
        headers = httpx.get(f"http://127.0.0.1:{lane['port']}/hello", trust_env=False, timeout=10).headers
        assert headers["x-frame-options"] == "DENY"


def test_clients_that_leave_leave_work_in_sync_views_and_none_in_async_ones(room: OpenedRoom) -> None:
    room.change(wait_ms=1000, leaves=True)
    frame = room.until(lambda frame: _works_for_nobody(frame) and _counts(frame)[ASYNC_ASGI].get("cut_short"))
    assert _counts(frame)[SYNC_ASGI]["cut_short"] == 0
    ended_s: dict[int, list[float]] = {}
    for frame in room.during(3.0):
        for number, _ in frame["lanes"][ASYNC_ASGI]["leavers"]:
            ended_s.setdefault(number, []).append(frame["at_s"])
    assert all(max(times_s) - min(times_s) < 0.5 for times_s in ended_s.values()), ended_s  # the rest of its wait: 0.75


def _counts(frame: Frame) -> list[dict[str, int]]:
    return [lane.get("gauge", {}) for lane in frame["lanes"]]


def _works_for_nobody(frame: Frame) -> bool:
    return any(place == "i" for _, place in frame["lanes"][SYNC_ASGI]["leavers"])


def test_a_database_that_goes_away_fails_requests_until_it_is_back(room: OpenedRoom) -> None:
    require_postgresql()
    room.change(behind="database", visitors=3)
    before = room.until(lambda frame: all_serve(frame) and frame["connections"] is not None)
    room.change(database_away=True)
    room.until(lambda frame: _failed(frame) > _failed(before) + 10)
    room.change(database_away=False)
    back = room.until(lambda frame: frame["connections"] is not None)
    room.until(lambda frame: all(later["answered"] > now["answered"] + 5 for later, now in _pairs(frame, back)))


def _failed(frame: Frame) -> int:
    return sum(int(lane["failed"]) for lane in frame["lanes"])


def _pairs(frame: Frame, other: Frame) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return list(zip(frame["lanes"], other["lanes"], strict=True))


def test_a_server_that_is_killed_is_dead_and_comes_back(room: OpenedRoom) -> None:
    pid = room.until(all_serve)["lanes"][ASYNC_ASGI]["pid"]
    os.kill(pid, signal.SIGKILL)
    dead = room.until(lambda frame: frame["lanes"][ASYNC_ASGI]["state"] == "dead", within_s=5)["lanes"]
    assert dead[ASYNC_ASGI]["message"] == "ended by SIGKILL"
    assert dead[SYNC_ASGI]["state"] == "serving"
    back = room.until(lambda frame: all_serve(frame) and inside(frame)[ASYNC_ASGI] == 10)["lanes"][ASYNC_ASGI]
    assert back["pid"] != pid
    assert back["cut"] > 0


def test_a_lane_can_be_another_stack_and_at_most_four_are_served(room: OpenedRoom) -> None:
    room.change(lanes=["zero_hop@uvicorn"])
    (lane,) = room.until(lambda frame: all_serve(frame) and inside(frame) == [10])["lanes"]
    assert lane["stack"] == "zero_hop@uvicorn"
    refused = room.post("change", {"lanes": ["zero_hop@uvicorn"] * 5})
    assert (refused.status_code, refused.json()["error"]) == (400, "The room has 1 to 4 lanes, not 5.")


def test_a_lane_runs_in_the_environment_that_its_stack_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    here = make_environment("here")
    lane, program = asyncio.run(_first_look("async_asgi@uvicorn%here"))
    assert (lane["stack"], lane["state"], lane["message"]) == ("async_asgi@uvicorn%here", "serving", "")
    assert program == str(here.program)
    assert lane["environment"] == f"here: {here.python}, Django {here.packages['django']}"
    assert_nothing_is_left(mark)


async def _first_look(stack: str) -> tuple[Frame, str]:
    """The first sample of a lane that is ready, and the program that serves it."""
    lane = Lane(parse_stack(stack), [], lambda: NEUTRAL)
    living = asyncio.create_task(lane.live())
    try:
        async with asyncio.timeout(30):
            seen = lane.sample()
            while seen["state"] == "starting":
                await asyncio.sleep(0.05)
                seen = lane.sample()
        return seen, psutil.Process(seen["pid"]).cmdline()[0]
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


@pytest.mark.parametrize(
    "changes",
    [[], {"visitors": 1001}, {"visitors": True}, {"wait_ms": "1"}, {"behind": "god"}, {"lanes": ["bare_asgi@uvicorn"]}],
)
def test_a_change_that_is_not_right_is_refused_in_a_sentence(changes: Any) -> None:
    with pytest.raises(UsageError, match=r"\.$"):
        Settings().changed(changes)


def test_settings_are_read_back_and_what_cannot_be_read_is_the_default() -> None:
    said = Settings(visitors=500, blocking=True).predicted("scene", "x" * 2 * LONGEST_PREDICTION)
    data = {**vars(said), "lanes": list(said.lanes)}
    assert read_settings(data) == said
    assert len(said.predictions["scene"]) == LONGEST_PREDICTION
    damaged: list[Any] = [{}, {"visitors": -1, "predictions": {}}, [], None]
    for each in damaged:
        assert read_settings(each) == Settings()


def test_without_its_token_nothing_is_shown_and_nothing_changed(room: OpenedRoom) -> None:
    other = room.url.replace(room.url.rsplit("/", 2)[1], "0" * 22)
    for method, path in (("GET", ""), ("GET", "frames"), ("GET", "about"), ("POST", "change"), ("POST", "predict")):
        answer = httpx.request(method, f"{other}{path}", json={"visitors": 1}, trust_env=False, timeout=5)
        assert (answer.status_code, answer.text[:12]) == (403, "This address")
    assert room.until(all_serve)["settings"]["visitors"] == 10


def test_the_room_survives_its_own_process_and_leaves_nothing(mark: str) -> None:
    with open_room("--stack", "async_asgi@uvicorn") as room:
        room.until(all_serve)
        room.change(visitors=7)
        process = room.process
        process.kill()
        eventually(lambda: not process.is_running(), 5)
        assert eventually(lambda: _answers(room), 20)
        frame = room.until(lambda frame: inside(frame) == [7])
        assert frame["settings"]["visitors"] == 7
        ports = [room.port, frame["lanes"][0]["port"]]
    assert room.popen.returncode == ExitCode.INTERRUPTED
    assert_nothing_is_left(mark, *ports)


def _answers(room: OpenedRoom) -> bool:
    try:
        return httpx.get(f"{room.url}about", trust_env=False, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_scene_is_recorded_with_its_hops_and_read_back(tmp_path: Path, mark: str) -> None:
    scene = next(each for each in SCENES if each.measured == "hops")
    path = tmp_path / "scene.jsonl.gz"
    asyncio.run(record_scene(scene, path, for_s=0.5, settle_s=0.5))
    recording = read_recording(path)
    assert recording.frames[-1]["settings"]["scene"] == scene.name
    assert recording.frames[-1]["lanes"][scene.lane]["hops"] == 15
    assert [len(each["trace"]["crossings"]) for each in recording.traced] == [15, 0]
    assert_nothing_is_left(mark)
    path.write_bytes(path.read_bytes()[:-9])  # as if it had been killed while it wrote
    assert read_recording(path).made_at == recording.made_at


def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path: Path) -> None:
    other, newer = tmp_path / "other", tmp_path / "newer"
    other.write_bytes(b"mine")
    newer.write_bytes(gzip.compress(json.dumps({"head": {"kind": KIND, "version": VERSION + 1}}).encode() + b"\n"))
    for path, says in ((other, "no recording"), (newer, "newer version")):
        with pytest.raises(DamagedRun, match=says):
            RecordingWriter(path, {})
    assert other.read_bytes() == b"mine"
    done = lab("room", "--no-browser", "--replay", str(tmp_path / "none"))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_wrong_words_are_one_sentence() -> None:
    for arguments, code, says in (
        (["--stack", "sync_wsgi@gthread"], 2, "needs a number of threads"),
        (["--stack", "bare_asgi@uvicorn"], 2, "cannot be a lane"),
        (["--bind", "192.0.2.1"], 2, "--i-own-this-host"),
    ):
        done = lab("room", "--no-browser", *arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
