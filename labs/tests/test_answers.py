"""The contract: the same URL gets the same bytes in every lab, through either door, under any middleware."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from labs.tests.ask import Answer, ask, run_python

DJANGO_DOORS = [
    "labs.sync_wsgi.wsgi",
    "labs.sync_asgi.asgi",
    "labs.async_asgi.asgi",
    "labs.async_wsgi.wsgi",
    "labs.mixed_middleware.asgi",
    "labs.zero_hop.asgi",
    "labs.pinned_pool.asgi",
    "labs.folded.asgi",
    "labs.channels_live.asgi",
]
EVERY_KIND = "sync_only,both,async_only,startproject"
STACKS = [
    *product(DJANGO_DOORS, ["", "startproject"]),
    *product(["labs.async_wsgi.wsgi", "labs.mixed_middleware.asgi"], [EVERY_KIND]),
]
BARE_DOORS = ["labs.bare.wsgi", "labs.bare.asgi", "labs.upstream.asgi"]


def refused(name: str, most: int, quote: str, least: int = 0) -> tuple[int, dict[str, object]]:
    return 400, {"error": f"{name} must be a whole number from {least} to {most}, not '{quote}'."}


EXPECTED: dict[str, tuple[int, dict[str, object]]] = {
    "/hello": (200, {"message": "hello"}),
    "/ready": (200, {"instance": "nonce"}),
    "/wait": (200, {"waited_ms": 100}),
    "/wait?ms=0": (200, {"waited_ms": 0}),
    "/wait?ms=x": refused("ms", 10_000, "x"),
    "/wait?ms=": refused("ms", 10_000, ""),
    "/wait?ms=10001": refused("ms", 10_000, "10001"),
    "/wait?ms=1&ms=-1": refused("ms", 10_000, "-1"),
    "/wait?ms=%D9%A3": refused("ms", 10_000, "٣"),
    "/wait?ms=%FF": refused("ms", 10_000, "\N{REPLACEMENT CHARACTER}"),
    f"/wait?ms={'9' * 5000}": refused("ms", 10_000, "9" * 40 + "..."),
}
EXPECTED_OF_DJANGO = EXPECTED | {
    "/blocking_wait?ms=1": (200, {"waited_ms": 1}),
    "/blocking_wait?ms=x": refused("ms", 10_000, "x"),
    "/fan_out?n=3&ms=10": (200, {"calls": 3, "waited_ms": 30}),
    "/fan_out?n=1&ms=0": (200, {"calls": 1, "waited_ms": 0}),
    "/fan_out?n=0": refused("n", 100, "0", least=1),
    "/fan_out_threads?n=3&ms=10": (200, {"calls": 3, "waited_ms": 30}),
    "/fan_out_threads?n=101": refused("n", 100, "101", least=1),
    "/poll?ms=10": (200, {"news": None}),
    "/poll?ms=x": refused("ms", 10_000, "x"),
    "/feed?n=0": refused("n", 100, "0", least=1),
    "/tokens?n=0": refused("n", 100, "0", least=1),
    "/tokens_lean?ms=x": refused("ms", 10_000, "x"),
    "/rows?n=2": (200, {"names": ["product 1", "product 2"]}),
    "/rows?n=0": refused("n", 100, "0", least=1),
    "/slow_rows?ms=1": (200, {"names": ["product 1"]}),
    "/crud": (200, {"read": "created", "saved": "updated", "deleted": 1}),
    "/gathered?n=2&ms=1": (200, {"names": ["product 1"] * 2}),
    "/gathered_threads?n=2&ms=1": (200, {"names": ["product 1"] * 2}),
    "/gathered_threads?n=x": refused("n", 100, "x", least=1),
    "/hold?ms=1": (200, {"names": ["product 1"]}),
    "/checkout": (200, {"paid": 1}),
    "/checkout?ms=x": refused("ms", 10_000, "x"),
    "/checkout_in_halves": (200, {"paid": 1}),
    "/checkout_across_hops": (200, {"paid": 1}),
    "/upload": (200, {"received": 0}),
    "/download?n=0": refused("n", 100, "0", least=1),
    "/burn": (200, {"burned_ms": 10}),
    "/burn?ms=x": refused("ms", 10_000, "x"),
    "/hello/": (
        404,
        {
            "error": "Nothing here; this lab answers "
            "/hello, /wait, /blocking_wait, /fan_out, /fan_out_threads, /burn, /feed, /tokens, /tokens_lean, /poll, "
            "/rows, /slow_rows, /crud, /gathered, /gathered_threads, /hold, "
            "/checkout, /checkout_in_halves, /checkout_across_hops, /upload, /download, /whoami, /ready, /publish."
        },
    ),
}
EXPECTED_OF_BARE = EXPECTED | {"/burn": (404, {"error": "Nothing here; this lab answers /hello, /wait, /ready."})}


WHO = "/whoami"
Asked = dict[tuple[str, str], tuple[list[Answer], str]]


@pytest.fixture(scope="session")
def asked(shop: str) -> Asked:
    """What every door answers under every middleware, two of them asked at a time: each is a process of its own.

    The last one is WHO's, when all the others have been answered.
    """

    def one(stack: tuple[str, str]) -> tuple[list[Answer], str]:
        door, middleware = stack
        variables = {"LAB_INSTANCE": "nonce", "LAB_MIDDLEWARE": middleware, "LAB_DATABASE_URL": shop}
        return ask(door, *EXPECTED_OF_DJANGO, WHO, **variables)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(STACKS, pool.map(one, STACKS), strict=True))


def check(answers: list[Answer], log: str, expected: dict[str, tuple[int, dict[str, object]]]) -> None:
    for (url, (status, data)), answered in zip(expected.items(), answers, strict=True):
        body = json.dumps(data)
        headers = {name: answered[1].get(name) for name in ("content-type", "content-length")}
        assert (url, answered[0], answered[2]) == (url, status, body)
        assert headers == {"content-type": "application/json", "content-length": str(len(body))}
    assert log == ""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database in a file, its tables made and filled."""
    url = f"sqlite:///{tmp_path_factory.mktemp('shop')}/db.sqlite3"
    done = run_python("-m", "labs.common.shop.prepare", LAB_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    return url


@pytest.mark.parametrize(("door", "middleware"), STACKS)
def test_every_django_lab_gives_the_same_bytes(door: str, middleware: str, asked: Asked) -> None:
    (*answers, _), log = asked[door, middleware]
    check(answers, log, EXPECTED_OF_DJANGO)


@pytest.mark.parametrize("door", BARE_DOORS)
def test_the_bare_callables_give_the_same_bytes(door: str) -> None:
    check(*ask(door, *EXPECTED_OF_BARE, LAB_INSTANCE="nonce"), EXPECTED_OF_BARE)


@pytest.mark.parametrize("door", DJANGO_DOORS)
def test_a_view_has_a_loop_in_its_thread_exactly_when_it_is_async(door: str, asked: Asked) -> None:
    (*_, (_, _, body)), _ = asked[door, ""]
    here = json.loads(body)
    assert here["loop_running"] is not door.startswith("labs.sync_")
    assert (here["inside_now"], here["inside_most"]) == (0, 1)


@pytest.mark.parametrize("door", DJANGO_DOORS)
def test_a_missing_upstream_is_a_500_whose_trace_names_the_command_to_start_it(door: str) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        answers, log = ask(door, "/fan_out", "/fan_out_threads", LAB_UPSTREAM_URL=f"http://127.0.0.1:{port}")
    assert [answer[0] for answer in answers] == [500, 500]
    assert f"start it with: uvicorn labs.upstream.asgi:application --port {port}" in log
    assert "Event loop is closed" not in log
    assert "exception calling callback" not in log


def test_each_middleware_signs_the_answer_innermost_first() -> None:
    answers, _ = ask("labs.mixed_middleware.asgi", "/hello")
    assert answers[0][1]["x-lab-middleware"] == "async_only, both, sync_only"


def test_mixed_middleware_takes_the_stack_it_is_told() -> None:
    answers, _ = ask("labs.mixed_middleware.asgi", "/hello", LAB_MIDDLEWARE="both, sync_only")
    assert answers[0][1]["x-lab-middleware"] == "sync_only, both"
