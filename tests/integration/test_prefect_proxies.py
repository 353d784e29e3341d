"""Proxies of the user's network, between a script and its Prefect server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from nyc_taxi.environment import use_proxies
from nyc_taxi.errors import ServerError
from nyc_taxi.orchestration.server import check_server
from nyc_taxi.trips.months import TripMonth
from tests.support.fixed_responses import answering
from tests.support.scripts import one_line, script


@pytest.fixture
def green(tmp_path: Path, month_file: Callable[..., Path]) -> str:
    """Folder with a month of green trips."""
    return str(month_file(TripMonth("green", 2021, 1), 100).parent)


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
    with answering(200, b"<html>Sign in</html>") as address:
        proxies.setenv("ALL_PROXY", address.replace("http", "socks5"))
        with (
            temporary_settings({PREFECT_API_URL: "http://prefect.example.com/api"}),
            pytest.raises(ServerError, match=r"the proxy socks5://.* \(ALL_PROXY\) cannot reach"),
        ):
            check_server()
