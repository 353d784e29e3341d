"""Start of the scripts: help without side effects, and one-line errors of their surroundings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import prefect
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, temporary_settings

from nyc_taxi.cancellation import Stopped, run_in_threads, stoppable
from nyc_taxi.environment import use_proxies
from nyc_taxi.errors import PartialFailureError, ServerError, TransientSourceError
from nyc_taxi.orchestration.run_months import run_months
from nyc_taxi.orchestration.server import check_server
from nyc_taxi.storage.atomic_files import file_lock
from nyc_taxi.trips.months import TripMonth
from parameterized_flow import etl_parent_flow
from synthetic_tlc import Site
from tests.support.processes import ROOT

SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in (
        "flows/*.py",
        "flows/*/*/flow.py",
        "blocks/*.py",
        "scripts/**/*.py",
        "docker/*.py",
    )
    for path in ROOT.glob(pattern)
    if '__name__ == "__main__"' in path.read_text()
)
MODULES = [
    f"-m {name}"
    for name in ("nyc_taxi.doctor", "nyc_taxi.environment", "reference.zones.flow", "synthetic_tlc",
                 "local_services", "local_services.postgres")
]  # fmt: skip
REPRESENTATIVES = [
    "flows/etl_web_to_bq.py",
    "flows/docker_deploy.py",
    "flows/reference/zones/flow.py",
    "blocks/make_notification.py",
    "blocks/make_docker_block.py",
    "scripts/docker_deploy.py",
    "scripts/prefect_build/build.py",
    "-m nyc_taxi.doctor",
]


def environment(folder: Path, **env: str) -> dict[str, str]:
    """Environment of a user who has set only `env`; home, data and stores are in `folder`."""
    ours = ("NYC_TAXI_", "PREFECT_", "POSTGRES_", "AWS_", "NOTIFICATION_")
    proxies = {n for n in os.environ if n.lower().endswith("_proxy")}
    kept = {n: v for n, v in os.environ.items() if not n.startswith(ours) and n not in proxies}
    return kept | {
        "HOME": str(folder),
        "NYC_TAXI_DATA_DIR": str(folder / "data"),
        "NYC_TAXI_LAKE": f"local:{folder / 'lake'}",
        "NYC_TAXI_WAREHOUSE": f"duckdb:{folder / 'warehouse.duckdb'}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'flows'}",
        **env,
    }


def script(
    path: str, *options: str, folder: Path, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    command = path.split(" ") if path.startswith("-m") else [str(ROOT / path)]
    return subprocess.run(
        [sys.executable, *command, *options],
        cwd=cwd or folder,
        env=environment(folder, **env),
        capture_output=True,
        text=True,
        timeout=120,
    )


def created_files(folder: Path) -> list[Path]:
    """Return what a script created, except for Prefect's home, which importing it creates."""
    return [path for path in folder.rglob("*") if path.name != ".prefect"]


def one_line(done: subprocess.CompletedProcess[str], *says: str) -> None:
    """Assert that a script failed with one line that contains these words."""
    assert done.returncode in (1, 2), done.stderr
    lines = [line for line in done.stderr.splitlines() if "Starting temporary server" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert [word for word in says if word not in lines[0]] == [], lines[0]


@pytest.mark.few(1)
@pytest.mark.parametrize("path", SCRIPTS + MODULES)
def test_help_has_no_side_effects(path: str, tmp_path: Path) -> None:
    """Although the server is unreachable, and an image and a webhook for blocks are set."""
    done = script(
        path,
        "--help",
        folder=tmp_path,
        PREFECT_API_URL="http://127.0.0.1:9/api",
        NYC_TAXI_IMAGE="image",
        NOTIFICATION_URL="http://127.0.0.1:9",
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 1
    assert done.stderr == ""
    assert created_files(tmp_path) == []


@pytest.mark.few(1)
@pytest.mark.parametrize("path", REPRESENTATIVES)
def test_unknown_option_has_no_side_effects(path: str, tmp_path: Path) -> None:
    done = script(path, "--no-such-option", "x", folder=tmp_path)
    assert done.returncode in (1, 2)
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert created_files(tmp_path) == []


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("path", "options", "env", "says"),
    [
        ("flows/etl_web_to_bq.py", ["--months", "13"], {}, "13 is not a month"),
        ("flows/etl_web_to_gcs.py", [], {"NYC_TAXI_LAKE": "gs:x"}, "NYC_TAXI_LAKE='gs:x'"),
        ("flows/etl_web_to_bq.py", [], {"NYC_TAXI_WAREHOUSE": "x"}, "NYC_TAXI_WAREHOUSE='x'"),
        (
            "flows/etl_web_to_bq.py",
            ["--method", "dataframe"],
            {},
            "only BigQuery supports --method dataframe",
        ),
        ("flows/load_new_months.py", [], {"NYC_TAXI_WAIT": "long"}, "NYC_TAXI_WAIT='long'"),
        ("flows/reference/zones/flow.py", [], {"NYC_TAXI_LAKE": "x"}, "NYC_TAXI_LAKE='x'"),
        ("flows/reference/zones/flow.py", [], {"NYC_TAXI_SOURCE_URL": "{0}"}, "valid template"),
        ("flows/etl_web_to_local.py", [], {"NYC_TAXI_SOURCE_URL": "htp://x"}, "cannot be fetched"),
    ],
)
def test_script_checks_input_before_a_server_starts(
    path: str, options: list[str], env: dict[str, str], says: str, tmp_path: Path
) -> None:
    done = script(path, *options, folder=tmp_path, cwd=None, **env)
    one_line(done, says)
    assert "Starting" not in done.stderr
    assert created_files(tmp_path) == []


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """Answer every request the same way; yields the URL of the server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


@pytest.mark.few(1)
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


@pytest.fixture
def green(tmp_path: Path, month_file: Callable[..., Path]) -> str:
    """Folder with a month of green trips."""
    return str(month_file(TripMonth("green", 2021, 1), 100).parent)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy of the flows, next to which a test may write a `.env`."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    return root


GREEN = ["--color", "green"]


@pytest.mark.slow
def test_script_bypasses_proxies_for_localhost(
    prefect_server: None, green: str, tmp_path: Path
) -> None:
    dead = "http://127.0.0.1:9"
    done = script(
        "flows/etl_web_to_local.py",
        *GREEN,
        folder=tmp_path,
        HTTP_PROXY=dead,
        https_proxy=dead,
        ALL_PROXY="socks://127.0.0.1:9",
        NO_PROXY="example.com",
        NYC_TAXI_SOURCE_URL=green,
        PREFECT_API_URL=os.environ["PREFECT_API_URL"],
    )
    assert done.returncode == 0, done.stderr
    assert "rows: 100" in done.stdout


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores it
        monkeypatch.delenv(name)
    return monkeypatch


def test_use_proxies_keeps_no_proxy_hosts(proxies: pytest.MonkeyPatch) -> None:
    use_proxies()
    assert "NO_PROXY" not in os.environ
    proxies.setenv("HTTP_PROXY", "proxy:3128")
    proxies.setenv("no_proxy", "example.com,localhost")
    use_proxies()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.com,localhost,127.0.0.1,::1"
    assert os.environ["HTTP_PROXY"] == "http://proxy:3128"


def test_use_proxies_accepts_socks_urls_of_desktops(proxies: pytest.MonkeyPatch) -> None:
    """httpx knows socks5://, desktops write socks://."""
    proxies.setenv("all_proxy", "socks://127.0.0.1:1080/")
    use_proxies()
    assert os.environ["ALL_PROXY"] == "socks5://127.0.0.1:1080/"
    proxies.setenv("all_proxy", "SOCKS5H://127.0.0.1:1080/")
    use_proxies()
    assert os.environ["ALL_PROXY"] == "socks5h://127.0.0.1:1080/"


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "value",
    ["socks4://u:secret@127.0.0.1:1080", "http://[::1", "http://h:port", "http://u:sec/ret@h:1"],
)
def test_script_reports_an_invalid_proxy_in_one_line(value: str, tmp_path: Path) -> None:
    """With and without a server behind the proxy."""
    for url in ("", "https://prefect.example.com/api"):
        done = script(
            "flows/etl_web_to_local.py", folder=tmp_path, HTTPS_PROXY=value, PREFECT_API_URL=url
        )
        one_line(done, "HTTPS_PROXY=", "is not a proxy; write http://HOST:PORT")
        assert "sec" not in done.stderr


def test_check_server_names_an_unreachable_proxy(proxies: pytest.MonkeyPatch) -> None:
    proxies.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    with (
        temporary_settings({PREFECT_API_URL: "http://prefect.example.com/api"}),
        pytest.raises(ServerError, match=r"the proxy http://127.0.0.1:9 \(HTTP_PROXY\) cannot"),
    ):
        check_server()


@pytest.mark.slow
def test_check_server_names_a_proxy_that_is_not_socks(proxies: pytest.MonkeyPatch) -> None:
    with answering(200, PAGE) as address:
        proxies.setenv("ALL_PROXY", address.replace("http", "socks5"))
        with (
            temporary_settings({PREFECT_API_URL: "http://prefect.example.com/api"}),
            pytest.raises(ServerError, match=r"the proxy socks5://.* \(ALL_PROXY\) cannot reach"),
        ):
            check_server()


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


@pytest.mark.few(1)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_script_reports_an_env_file_that_is_not_utf8(
    encoding: str, checkout: Path, tmp_path: Path
) -> None:
    line = "NYC_TAXI_GCS_FOLDER=caf\u00e9\r\n"  # pragma: allowlist secret
    (checkout / ".env").write_bytes(line.encode(encoding))
    for path in ("etl_web_to_local.py", "reference/zones/flow.py", "nyc_taxi/doctor.py"):
        command = (
            ["-m", "nyc_taxi.doctor"] if "doctor" in path else [str(checkout / "flows" / path)]
        )
        done = subprocess.run(
            [sys.executable, *command],
            cwd=checkout,
            env=environment(tmp_path, PYTHONPATH=str(checkout / "flows")),
            capture_output=True,
            text=True,
        )
        one_line(done, ".env is not valid UTF-8; save it as UTF-8")


@pytest.mark.few(1)
@pytest.mark.parametrize("line", ["export it now", "NYC_TAXI_HASH_KEY='secret"])
def test_script_reports_an_invalid_line_of_an_env_file(
    line: str, checkout: Path, tmp_path: Path
) -> None:
    """Bug: Prefect warned about it 490 times, once per group of settings."""
    (checkout / ".env").write_text(f"# first\n\nNYC_TAXI_WAIT=1\n{line}\n")
    done = subprocess.run(
        [sys.executable, str(checkout / "flows" / "etl_web_to_local.py")],
        cwd=checkout,
        env=environment(tmp_path, PYTHONPATH=str(checkout / "flows")),
        capture_output=True,
        text=True,
    )
    one_line(done, ".env: line 4 is not NAME=VALUE, or has an unclosed quote")
    assert "secret" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_env_file_applies_in_any_working_directory(
    bom: bytes, checkout: Path, tmp_path: Path
) -> None:
    (checkout / ".env").write_bytes(bom + b"PREFECT_API_URL=http://127.0.0.1:9/of-env/api\n")
    for cwd in (checkout, checkout / "flows", tmp_path):
        done = subprocess.run(
            [sys.executable, str(checkout / "flows" / "etl_web_to_local.py")],
            cwd=cwd,
            env=environment(tmp_path, PYTHONPATH=str(checkout / "flows")),
            capture_output=True,
            text=True,
        )
        one_line(done, "http://127.0.0.1:9/of-env/api does not respond")


@pytest.mark.slow
def test_zones_script_runs_by_its_path(prefect_server: None, tmp_path: Path) -> None:
    done = script(
        "flows/reference/zones/flow.py",
        folder=tmp_path,
        PREFECT_API_URL=os.environ["PREFECT_API_URL"],
        NYC_TAXI_SOURCE_URL=str(tmp_path / "nothing"),
    )
    one_line(
        subprocess.CompletedProcess([], done.returncode, "", done.stderr.splitlines()[-1]),
        "taxi_zone_lookup.csv",
    )


@pytest.mark.slow
def test_partial_failure_publishes_every_month(
    prefect_server: None, site: Site, month_file: Callable[..., Path]
) -> None:
    made = month_file(TripMonth("yellow", 2021, 3), 100)
    (site.folder / made.name).hardlink_to(made)
    with pytest.raises(PartialFailureError, match="1 of 2 months failed: yellow 2021-04: "):
        etl_parent_flow(months=[3, 4])
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts()
    artifacts.sort(key=lambda artifact: str(artifact.created))
    table = str([a.data for a in artifacts if a.key == "yellow-2021"][-1])
    assert re.search('"month": "yellow 2021-03".*"rows": 100', table)
    assert re.search('"month": "yellow 2021-04".*"failed": ".*403', table)
    progress = [a.data for a in artifacts if a.type == "progress"]
    assert 50.0 in progress


def test_artifact_failure_does_not_hide_the_error(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server becomes unreachable for artifacts during a run."""

    def no_server(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("connection refused")

    for name in ("update_progress_artifact", "create_table_artifact"):
        monkeypatch.setattr(f"nyc_taxi.orchestration.artifacts.{name}", no_server)

    @prefect.flow
    def months() -> list[str]:
        def step(trips: TripMonth) -> str:
            if trips.month == 2:
                raise TransientSourceError("its reason")
            return str(trips)

        return run_months(step, [TripMonth("yellow", 2021, m) for m in (1, 2)], table="table")

    with pytest.raises(
        PartialFailureError, match="1 of 2 months failed: yellow 2021-02: its reason"
    ):
        months()
    assert "cannot save an artifact" in caplog.text


def test_file_lock_wait_ends_when_the_run_is_stopped(tmp_path: Path) -> None:
    target = tmp_path / "file"

    def write(_: int) -> None:
        with file_lock(target):
            pass

    with file_lock(target), stoppable() as stop:
        (waiting,) = run_in_threads(write, [1], at_once=1)
        time.sleep(0.3)
        stop.set()
        with pytest.raises(Stopped):
            waiting.result(1)


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
