"""How scripts start: help that does nothing, and one line for what is wrong around them."""

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
from nyc_taxi.orchestration.prefect_server import check_server
from nyc_taxi.orchestration.run_months import run_months
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
ONE_OF_A_KIND = [
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
    """A user who has set nothing but `env`, with a home, data, lake and warehouse in `folder`."""
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


def made(folder: Path) -> list[Path]:
    """What a script made there, but for Prefect's home, which its import makes."""
    return [path for path in folder.rglob("*") if path.name != ".prefect"]


def one_line(done: subprocess.CompletedProcess[str], *says: str) -> None:
    """It failed with one line, which has these words."""
    assert done.returncode in (1, 2), done.stderr
    lines = [line for line in done.stderr.splitlines() if "Starting temporary server" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert [word for word in says if word not in lines[0]] == [], lines[0]


@pytest.mark.few(5)
@pytest.mark.parametrize("path", SCRIPTS + MODULES)
def test_help_does_nothing_else(path: str, tmp_path: Path) -> None:
    """With a server that is not there, and with an image and a webhook to make blocks of."""
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
    assert made(tmp_path) == []


@pytest.mark.few(2)
@pytest.mark.parametrize("path", ONE_OF_A_KIND)
def test_an_unknown_option_does_nothing_else(path: str, tmp_path: Path) -> None:
    done = script(path, "--no-such-option", "x", folder=tmp_path)
    assert done.returncode in (1, 2)
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert made(tmp_path) == []


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("path", "options", "env", "says"),
    [
        ("flows/etl_web_to_bq.py", ["--months", "13"], {}, "13 is not a month"),
        ("flows/etl_web_to_gcs.py", [], {"NYC_TAXI_LAKE": "gs:x"}, "NYC_TAXI_LAKE='gs:x'"),
        ("flows/etl_web_to_bq.py", [], {"NYC_TAXI_WAREHOUSE": "x"}, "NYC_TAXI_WAREHOUSE='x'"),
        ("flows/etl_web_to_bq.py", ["--method", "dataframe"], {}, "only BigQuery takes DataFrames"),
        ("flows/load_new_months.py", [], {"NYC_TAXI_WAIT": "long"}, "NYC_TAXI_WAIT='long'"),
        ("flows/reference/zones/flow.py", [], {"NYC_TAXI_LAKE": "x"}, "NYC_TAXI_LAKE='x'"),
        ("flows/reference/zones/flow.py", [], {"NYC_TAXI_SOURCE_URL": "{0}"}, "valid template"),
        ("flows/etl_web_to_local.py", [], {"NYC_TAXI_SOURCE_URL": "htp://x"}, "cannot be fetched"),
    ],
)
def test_input_is_checked_before_a_server_starts(
    path: str, options: list[str], env: dict[str, str], says: str, tmp_path: Path
) -> None:
    done = script(path, *options, folder=tmp_path, cwd=None, **env)
    one_line(done, says)
    assert "Starting" not in done.stderr
    assert made(tmp_path) == []


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """A server that answers the same to everything; yields its address."""

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


WRONG = [
    ((401, b"{}"), "/api", "PREFECT_API_AUTH_STRING"),
    ((403, b"{}"), "/api", "set PREFECT_API_KEY"),
    ((404, b"{}"), "", "/api"),
    ((404, b"{}"), "/api", "upgrade the server"),
    ((200, PAGE), "/api", "is not the API of a Prefect server"),
    ((200, PAGE), "", "set PREFECT_API_URL=http://127.0.0.1"),
    ((302, PAGE), "/api", "is not the API of a Prefect server"),
    ((200, b'{"message": "another API"}'), "/api", "is not the API of a Prefect server"),
    ((500, b"oh"), "/api", "HTTP 500"),
]


@pytest.mark.parametrize(("answer", "place", "says"), WRONG)
def test_a_wrong_server_is_told_in_one_line(
    answer: tuple[int, bytes], place: str, says: str
) -> None:
    with answering(*answer) as address, temporary_settings({PREFECT_API_URL: f"{address}{place}"}):
        with pytest.raises(ServerError, match=re.escape(says)) as refused:
            check_server()
        assert "\n" not in str(refused.value)


@pytest.mark.few(1)
@pytest.mark.parametrize("path", ["flows/etl_web_to_local.py", "blocks/make_process_pool.py"])
def test_a_script_with_a_wrong_server_ends_in_one_line(path: str, tmp_path: Path) -> None:
    with answering(401, b"{}") as address:
        done = script(path, folder=tmp_path, PREFECT_API_URL=f"{address}/api")
    one_line(done, "set PREFECT_API_KEY")
    done = script(path, folder=tmp_path, PREFECT_API_URL="http://127.0.0.1:9/api")
    one_line(done, "the Prefect server at http://127.0.0.1:9/api does not answer")


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:4200/api", "is not a URL"),
        ("http://u:secret@127.0.0.1:9", "127.0.0.1:9 does not answer"),
        ("http://u:x@secret@127.0.0.1:9/api", "127.0.0.1:9/api does not answer"),
        ("http://u:x/secret@127.0.0.1:9/api", "PREFECT_API_URL=http://..."),
        (" http://u:secret@127.0.0.1:9/api", "PREFECT_API_URL= http://127.0.0.1:9/api"),
        ("http://127.0.0.1:9/api?key=secret", "127.0.0.1:9/api does not answer"),
    ],
)
def test_a_wrong_address_of_the_server_is_one_line(url: str, says: str, tmp_path: Path) -> None:
    for path in ("flows/etl_web_to_local.py", "scripts/prefect_build/build.py"):
        done = script(path, folder=tmp_path, PREFECT_API_URL=url)
        one_line(done, says)
        assert "secret" not in done.stderr


@pytest.mark.few(1)
@pytest.mark.parametrize("path", ["flows/etl_web_to_local.py", "blocks/make_process_pool.py"])
def test_a_home_that_cannot_be_written_is_one_line(path: str, tmp_path: Path) -> None:
    done = script(path, folder=tmp_path, HOME="/proc/nope", PREFECT_HOME="/proc/nope/.prefect")
    one_line(done, "/proc/nope/.prefect cannot be written", "set PREFECT_HOME")


@pytest.mark.few(1)
@pytest.mark.parametrize("filled", [3_900_000, 2_500_000])
def test_a_home_on_a_full_disk_is_one_line(filled: int, disk: Path, tmp_path: Path) -> None:
    (disk / "filling").write_bytes(bytes(filled))
    done = script("flows/etl_web_to_local.py", folder=tmp_path, PREFECT_HOME=str(disk / "home"))
    one_line(done, "home cannot be written (No space left on device)")


@pytest.fixture
def green(tmp_path: Path, month_file: Callable[..., Path]) -> str:
    """A folder with a month of green trips."""
    return str(month_file(TripMonth("green", 2021, 1), 100).parent)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The flows, where a `.env` may lie beside them."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "flows", root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    return root


GREEN = ["--color", "green"]


def test_proxies_are_not_asked_for_this_machine(
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
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    return monkeypatch


def test_the_hosts_without_a_proxy_are_kept(proxies: pytest.MonkeyPatch) -> None:
    use_proxies()
    assert "NO_PROXY" not in os.environ
    proxies.setenv("HTTP_PROXY", "proxy:3128")
    proxies.setenv("no_proxy", "example.com,localhost")
    use_proxies()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.com,localhost,127.0.0.1,::1"
    assert os.environ["HTTP_PROXY"] == "http://proxy:3128"


def test_the_proxies_of_a_desktop_are_understood(proxies: pytest.MonkeyPatch) -> None:
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
def test_a_proxy_that_cannot_be_used_is_one_line(value: str, tmp_path: Path) -> None:
    """Whether a server is asked through it or not."""
    for url in ("", "https://prefect.example.com/api"):
        done = script(
            "flows/etl_web_to_local.py", folder=tmp_path, HTTPS_PROXY=value, PREFECT_API_URL=url
        )
        one_line(done, "HTTPS_PROXY=", "is not a proxy; write http://HOST:PORT")
        assert "sec" not in done.stderr


def test_a_proxy_that_does_not_answer_is_named(proxies: pytest.MonkeyPatch) -> None:
    proxies.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    with (
        temporary_settings({PREFECT_API_URL: "http://prefect.example.com/api"}),
        pytest.raises(ServerError, match=r"the proxy http://127.0.0.1:9 \(HTTP_PROXY\) does not"),
    ):
        check_server()


def test_a_socks_proxy_that_is_another_server_is_named(proxies: pytest.MonkeyPatch) -> None:
    with answering(200, PAGE) as address:
        proxies.setenv("ALL_PROXY", address.replace("http", "socks5"))
        with (
            temporary_settings({PREFECT_API_URL: "http://prefect.example.com/api"}),
            pytest.raises(ServerError, match=r"the proxy socks5://.* \(ALL_PROXY\) does not reach"),
        ):
            check_server()


@pytest.mark.parametrize("key", ["secret\nkey", "secr\u00e9t"])
def test_a_key_that_no_header_can_have_is_not_shown(key: str) -> None:
    with (
        answering(200, b"[]") as address,
        temporary_settings({PREFECT_API_URL: f"{address}/api", PREFECT_API_KEY: key}),
        pytest.raises(ServerError, match=r"PREFECT_API_KEY, .* set it again") as refused,
    ):
        check_server()
    assert "secr" not in str(refused.value)


@pytest.mark.few(1)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_an_env_file_in_another_encoding_is_one_line(
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
        one_line(done, ".env is not text in UTF-8; save it as UTF-8")


@pytest.mark.few(1)
@pytest.mark.parametrize("line", ["export it now", "NYC_TAXI_HASH_KEY='secret"])
def test_a_line_of_an_env_file_that_sets_nothing_is_one_line(
    line: str, checkout: Path, tmp_path: Path
) -> None:
    """Prefect warns of it once for each group of its settings: 490 times."""
    (checkout / ".env").write_text(f"# first\n\nNYC_TAXI_WAIT=1\n{line}\n")
    done = subprocess.run(
        [sys.executable, str(checkout / "flows" / "etl_web_to_local.py")],
        cwd=checkout,
        env=environment(tmp_path, PYTHONPATH=str(checkout / "flows")),
        capture_output=True,
        text=True,
    )
    one_line(done, ".env: line 4 is not NAME=VALUE, or a quote in it does not end")
    assert "secret" not in done.stderr


@pytest.mark.few(1)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_prefects_settings_in_env_count_wherever_a_script_starts(
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
        one_line(done, "http://127.0.0.1:9/of-env/api does not answer")


def test_the_zones_run_by_path(prefect_server: None, tmp_path: Path) -> None:
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


def test_a_run_that_fails_in_part_shows_every_month(
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


def test_an_artifact_that_cannot_be_made_hides_nothing(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server goes away, for the artifacts, while months are under way."""

    def no_server(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("it is gone")

    for name in ("running.update_progress_artifact", "reports.create_table_artifact"):
        monkeypatch.setattr(f"nyc_taxi.{name}", no_server)

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
    assert "cannot show this" in caplog.text


def test_a_wait_for_a_file_ends_with_the_run(tmp_path: Path) -> None:
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


def test_a_script_started_elsewhere_has_the_prefect_of_its_checkout(tmp_path: Path) -> None:
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
