"""Stopped runs: a download, a connection attempt and a wait end at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from nyc_taxi.cancellation import Stopped, stoppable
from nyc_taxi.sources.http_client import get
from nyc_taxi.sources.tlc import fetch_month
from synthetic_tlc import Site
from tests.support.downloads import JANUARY, PARTIAL, contents, month_bytes, names, serve, statuses
from tests.support.http_requests import body
from tests.support.http_servers import run_server


def stall(connection: socket.socket) -> None:
    connection.recv(65536)
    time.sleep(30)


def drip(connection: socket.socket) -> None:
    connection.recv(65536)
    head = f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {len(month_bytes())}\r\n\r\n'
    connection.sendall(head.encode() + month_bytes()[:100_000])
    for n in range(1000):
        connection.sendall(month_bytes()[100_000 + n : 100_001 + n])
        time.sleep(0.05)


def send_without_length(connection: socket.socket) -> None:
    """Send a file without length, which ends with the connection."""
    connection.recv(65536)
    connection.sendall(b'HTTP/1.0 200 OK\r\nETag: "1"\r\n\r\n' + month_bytes()[:100_000])
    time.sleep(30)


def never_reply(connection: socket.socket) -> None:
    """Accept the connection, but not even start TLS."""
    time.sleep(30)


SLOW_SERVERS = {"stall": stall, "drip": drip, "old style": send_without_length, "TLS": never_reply}


@pytest.mark.parametrize("server", SLOW_SERVERS)
@pytest.mark.parametrize("trigger", ["stop", "signal"])
def test_stop_ends_a_download_immediately(folder: Path, server: str, trigger: str) -> None:
    with run_server(SLOW_SERVERS[server]) as port, stoppable() as stop:
        scheme = "https" if server == "TLS" else "http"
        source = f"{scheme}://127.0.0.1:{port}/{{color}}.csv"
        if server != "old style":
            source = source.replace(".csv", ".parquet")
        interrupt = stop.set if trigger == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(1, interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped if trigger == "stop" else KeyboardInterrupt):
            fetch_month(JANUARY, source, folder, timeout=25)
        timer.join()
        assert time.monotonic() - started < 3
    part = PARTIAL if server == "drip" else []
    if server == "old style":
        part = [name.replace(".parquet", ".csv") for name in PARTIAL]
    assert names(folder) == part
    assert all(len(contents(folder)[name]) >= 100_000 for name in part[:1])


@pytest.mark.few(1)
@pytest.mark.parametrize("trigger", ["stop", "signal"])
def test_stop_ends_a_connection_attempt(trigger: str) -> None:
    """The server does not accept connections, like one behind a firewall that drops packets."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, stoppable() as stop:
        url = "http://{}:{}".format(*server.getsockname())
        waiting = [socket.create_connection(server.getsockname())]
        for _ in range(3):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(server.getsockname())
        interrupt = stop.set if trigger == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.5, interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped if trigger == "stop" else KeyboardInterrupt):
            get(url, body, timeout=5)
        timer.join()
        assert time.monotonic() - started < 4
        for connection in waiting:
            connection.close()


@pytest.mark.parametrize("trigger", ["stop", "signal"])
def test_stop_ends_the_retry_after_delay(site: Site, trigger: str) -> None:
    site.answer(429, headers={"Retry-After": "20"})
    with stoppable() as stop:
        interrupt = stop.set if trigger == "stop" else lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(0.5, interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped if trigger == "stop" else KeyboardInterrupt):
            get(f"{site.url}/file", body)
        timer.join()
    assert time.monotonic() - started < 3
    assert statuses(site) == [429]


def test_stopped_download_is_resumed(site: Site, folder: Path) -> None:
    serve(site, month_bytes())
    site.stall(after=100_000)
    with stoppable() as stop:
        threading.Timer(1, stop.set).start()
        with pytest.raises(Stopped):
            fetch_month(JANUARY, site.url, folder)
    assert names(folder) == PARTIAL
    assert fetch_month(JANUARY, site.url, folder).read_bytes() == month_bytes()
    assert statuses(site) == [200, 206]
