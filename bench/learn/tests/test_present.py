"""How a project says that it is served: in a Procfile, a Dockerfile, a configuration of gunicorn, or nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.learn.your_project.model import Present
from bench.learn.your_project.present import SUPPOSED, read_present


@pytest.mark.parametrize(
    ("file", "text", "present"),
    [
        ("Procfile", "web: gunicorn mysite.wsgi", Present("sync", None, 1, "Procfile:1")),
        ("Procfile", "web: gunicorn -w 3 --threads=4 mysite.wsgi", Present("gthread", 4, 3, "Procfile:1")),
        ("Procfile", "web: gunicorn -k gthread mysite.wsgi", Present("gthread", 1, 1, "Procfile:1")),
        ("Procfile", "web: gunicorn --workers $N mysite.wsgi", Present("sync", None, 1, "Procfile:1")),
        ("run.sh", "set -e\nexec gunicorn --workers ${N:-5} mysite.wsgi\n", Present("sync", None, 5, "run.sh:2")),
        (
            *("Dockerfile", 'RUN pip install gunicorn x\nCMD ["gunicorn", "--threads", "16", "mysite.wsgi"]'),
            Present("gthread", 16, 1, "Dockerfile:2"),
        ),
        (
            *("docker-compose.yml", "services:\n  web:\n    command: uvicorn mysite.asgi:application --workers 2\n"),
            Present("uvicorn", None, 2, "docker-compose.yml:3"),
        ),
        (
            *("Procfile", "web: gunicorn mysite.asgi -k uvicorn_worker.UvicornWorker -w 2"),
            Present("uvicorn", None, 2, "Procfile:1"),
        ),
        ("Procfile", "web: daphne mysite.asgi:application", Present("uvicorn", None, 1, "Procfile:1")),
        ("Procfile", "web: waitress-serve --threads=6 mysite.wsgi:application", Present("gthread", 6, 1, "Procfile:1")),
        ("gunicorn.conf.py", "workers = 4\nthreads = 2\n", Present("gthread", 2, 4, "gunicorn.conf.py")),
        ("gunicorn.conf.py", 'worker_class = "gthread"\n', Present("gthread", 1, 1, "gunicorn.conf.py")),
        ("README.md", "gunicorn --threads 40 mysite.wsgi", SUPPOSED),
        ("Procfile", "# web: gunicorn --threads 40 mysite.wsgi", SUPPOSED),
    ],
)
def test_a_server_is_read_where_files_name_it(tmp_path: Path, file: str, text: str, present: Present) -> None:
    (tmp_path / file).write_text(text)
    assert read_present(tmp_path) == present


def test_a_command_adds_to_the_configuration_of_gunicorn(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 4\nthreads = 2\n")
    (tmp_path / "Procfile").write_text("web: gunicorn --threads 8 mysite.wsgi")
    assert read_present(tmp_path) == Present("gthread", 8, 4, "Procfile:1")


def test_a_project_that_does_not_say_it_is_supposed_to_have_a_small_pool(tmp_path: Path) -> None:
    assert read_present(tmp_path) == SUPPOSED
    assert not SUPPOSED.place
