"""What an async test sees through Django's client, and what through a server."""

import json

import pytest

from labs.tests.ask import run_python


@pytest.mark.live
def test_gathered_requests_to_a_sync_view_overlap_behind_a_server_and_not_in_the_test_client() -> None:
    found = json.loads(run_python("-m", "labs.common.as_production").stdout)
    assert found == {"in the test client": 1, "behind a server": 5}
