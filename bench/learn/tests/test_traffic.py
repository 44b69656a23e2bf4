"""Pages, weights and requests in flight from an access log."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench.base.errors import UsageError
from bench.learn.your_project.traffic import read_log

LINE = '203.0.113.9 - ada [29/Nov/2026:21:{minute:02}:{second:02} +0000] "{request} HTTP/1.1" {status} 512{rest}\n'
AGENT = ' "https://example.com/" "Mozilla/5.0 (X11)"'


def line(request: str = "GET /", minute: int = 0, second: int = 0, status: int = 200, rest: str = AGENT) -> str:
    return LINE.format(request=request, minute=minute, second=second, status=status, rest=rest)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def test_pages_have_the_weights_of_the_log(log: Path) -> None:
    log.write_text("".join([line("GET /")] * 3 + [line("HEAD /api?page=2")] + ["no line of a log\n"]))
    traffic = read_log(log)
    assert [(page.name, page.weight) for page in traffic.pages] == [("/", 0.75), ("HEAD /api?page=2", 0.25)]
    assert traffic.covered == 1.0


def test_only_answers_of_views_count(log: Path) -> None:
    static = ["GET /static/app.css", "GET /media/1", "GET /logo.png?v=2", "GET /favicon.ico"]
    log.write_text("".join([line(), line("POST /order"), line("GET /gone", status=404), *map(line, static)]))
    traffic = read_log(log)
    assert [page.path for page in traffic.pages] == ["/"]
    assert (traffic.requests, traffic.others) == (2, 1)


def test_users_follow_from_the_busiest_minute_by_littles_law(log: Path) -> None:
    log.write_text("".join([line(minute=5, second=at % 60) for at in range(600)] + [line(minute=9)] * 60))
    traffic = read_log(log)
    assert traffic.rate_per_s == 10.0
    assert traffic.response_s is None
    assert traffic.users(2.5) == 25
    assert traffic.users(0.001) == 1


@pytest.mark.parametrize("rest", [f"{AGENT} 0.400", f"{AGENT} 400000", f'{AGENT} rt="0.400"'])
def test_a_logged_time_is_used_for_littles_law(log: Path, rest: str) -> None:
    log.write_text("".join([line(rest=rest)] * 300))
    traffic = read_log(log)
    assert traffic.response_s == pytest.approx(0.4)
    assert traffic.users(99.0) == 2


def test_a_gzipped_log_without_referrer_is_read(tmp_path: Path) -> None:
    packed = tmp_path / "access.log.1.gz"
    packed.write_bytes(gzip.compress(line(rest="").encode()))
    assert read_log(packed).pages[0].path == "/"


def test_ten_pages_stand_for_all_and_it_is_known_how_much_they_cover(log: Path) -> None:
    log.write_text("".join(line(f"GET /{number}") for number in range(40)))
    traffic = read_log(log)
    assert (len(traffic.pages), traffic.covered) == (10, 0.25)
    assert sum(page.weight for page in traffic.pages) == pytest.approx(1.0)


def test_a_log_that_is_none_is_one_sentence(log: Path, tmp_path: Path) -> None:
    log.write_text("nothing\n")
    with pytest.raises(UsageError, match="no answered GET in the combined log format"):
        read_log(log)
    with pytest.raises(UsageError, match="cannot be read"):
        read_log(tmp_path / "absent.log")
