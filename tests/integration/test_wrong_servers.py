"""Unusable Prefect servers and homes: one line that names the setting."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, temporary_settings

from nyc_taxi.errors import ServerError
from nyc_taxi.orchestration.server import check_server
from tests.support.fixed_responses import answering
from tests.support.processes import ROOT
from tests.support.scripts import environment, one_line, script

PAGE = b"<!doctype html><html>Sign in</html>"
WRONG_SERVERS = [
    ((401, b"{}"), "/api", "PREFECT_API_AUTH_STRING"),
    ((403, b"{}"), "/api", "set PREFECT_API_KEY"),
    ((404, b"{}"), "", "/api"),
    ((404, b"{}"), "/api", "upgrade the server"),
    ((200, PAGE), "/api", "is not the API of a Prefect server"),
    ((200, PAGE), "", "set PREFECT_API_URL=http://127.0.0.1"),
    ((302, PAGE), "/api", "is not the API of a server compatible with Prefect"),
    ((200, b'{"message": "another API"}'), "/api", "is not the API of a Prefect server"),
    ((500, b"oh"), "/api", "HTTP 500"),
]


@pytest.mark.parametrize(("answer", "path", "says"), WRONG_SERVERS)
def test_check_server_reports_a_wrong_server_in_one_line(
    answer: tuple[int, bytes], path: str, says: str
) -> None:
    with answering(*answer) as address, temporary_settings({PREFECT_API_URL: f"{address}{path}"}):
        with pytest.raises(ServerError, match=re.escape(says)) as refused:
            check_server()
        assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["flows/etl_web_to_local.py", "blocks/make_process_pool.py"])
def test_script_reports_a_wrong_server_in_one_line(path: str, tmp_path: Path) -> None:
    with answering(401, b"{}") as address:
        done = script(path, folder=tmp_path, PREFECT_API_URL=f"{address}/api")
    one_line(done, "set PREFECT_API_KEY")
    done = script(path, folder=tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
    one_line(done, "the Prefect server at http://127.0.0.1:9/api does not respond")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:4200/api", "is not a URL"),
        ("http://u:secret@127.0.0.1:9", "127.0.0.1:9 does not respond"),
        ("http://u:x@secret@127.0.0.1:9/api", "127.0.0.1:9/api does not respond"),
        ("http://u:x/secret@127.0.0.1:9/api", "PREFECT_API_URL=http://..."),
        (" http://u:secret@127.0.0.1:9/api", "PREFECT_API_URL= http://127.0.0.1:9/api"),
        ("http://127.0.0.1:9/api?key=secret", "127.0.0.1:9/api does not respond"),
    ],
)
def test_script_reports_a_wrong_server_url_in_one_line(url: str, says: str, tmp_path: Path) -> None:
    for path in ("flows/etl_web_to_local.py", "scripts/prefect_build/build.py"):
        done = script(path, folder=tmp_path, PREFECT_API_URL=url)
        one_line(done, says)
        assert "secret" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", ["flows/etl_web_to_local.py", "blocks/make_process_pool.py"])
def test_script_reports_an_unwritable_prefect_home_in_one_line(path: str, tmp_path: Path) -> None:
    done = script(path, folder=tmp_path, HOME="/proc/nope", PREFECT_HOME="/proc/nope/.prefect")
    one_line(done, "/proc/nope/.prefect cannot be written", "set PREFECT_HOME")


@pytest.mark.slow
@pytest.mark.parametrize("filled", [3_900_000, 2_500_000])
def test_script_reports_a_full_disk_in_one_line(filled: int, disk: Path, tmp_path: Path) -> None:
    (disk / "filling").write_bytes(bytes(filled))
    done = script("flows/etl_web_to_local.py", folder=tmp_path, PREFECT_HOME=str(disk / "home"))
    one_line(done, "home cannot be written (No space left on device)")


@pytest.mark.few(1)
@pytest.mark.parametrize("key", ["secret\nkey", "secr\u00e9t"])
def test_check_server_hides_a_key_that_is_not_a_valid_header(key: str) -> None:
    with (
        answering(200, b"[]") as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api", PREFECT_API_KEY: key}),
        pytest.raises(ServerError, match=r"PREFECT_API_KEY, .* set it again") as refused,
    ):
        check_server()
    assert "secr" not in str(refused.value)


@pytest.mark.slow
def test_script_uses_the_prefect_home_of_its_checkout(tmp_path: Path) -> None:
    show = "import nyc_taxi.cli; from prefect.settings import PREFECT_HOME as h; print(h.value())"
    done = subprocess.run(
        [sys.executable, "-c", show],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(ROOT / ".prefect")
