"""HDFS from the address to the error messages, without a cluster; its contract is in test_lakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local_services.process import free_port
from nyc_taxi.errors import ConnectionLostError, InvalidInputError, StorageError
from nyc_taxi.lakes.registry import open_lake
from nyc_taxi.storage.webhdfs import WebHdfs, namenode_urls
from tests.support.fixed_responses import answering

HA = {
    "dfs.nameservices": "tlc",
    "dfs.ha.namenodes.tlc": "nn1, nn2",
    "dfs.namenode.http-address.tlc.nn1": "one:9870",
    "dfs.namenode.http-address.tlc.nn2": "two:9870",
}
IPC = b"It looks like you are making an HTTP request to a Hadoop IPC port."


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    monkeypatch.setenv("HADOOP_CONF_DIR", str(folder))
    return folder


def write(path: Path, properties: dict[str, str]) -> None:
    rows = [
        f"<property>\n  <name>{name}</name>\n  <value>\n{value}</value>\n</property>"
        for name, value in properties.items()
    ]
    path.write_text(f"<?xml version='1.0'?>\n<configuration>{''.join(rows)}</configuration>")


def exception(kind: str, message: str) -> bytes:
    return json.dumps({"RemoteException": {"exception": kind, "message": message}}).encode()


@pytest.mark.parametrize(
    "address", ["hdfs:lake", "hdfs:/lake", "hdfs://host:8020", "hdfs://host:port/lake", "hdfs:///x"]
)
def test_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInputError, match=r"write hdfs://HOST:PORT/PATH"):
        open_lake(address)


def test_address_without_a_host_is_of_the_default_file_system(conf: Path) -> None:
    write(conf / "core-site.xml", {"fs.defaultFS": "hdfs://tlc"})
    write(conf / "hdfs-site.xml", HA)
    assert open_lake("hdfs:///lake").hdfs.urls == ["http://one:9870", "http://two:9870"]  # type: ignore[attr-defined]


def test_default_file_system_of_another_kind_is_refused(conf: Path) -> None:
    """Its first part names a table of mounts, not a NameNode."""
    write(conf / "core-site.xml", {"fs.defaultFS": "viewfs://cluster"})
    with pytest.raises(InvalidInputError, match=r"write hdfs://HOST:PORT/PATH"):
        open_lake("hdfs:///lake")


@pytest.mark.parametrize(
    ("place", "properties", "urls"),
    [
        ("nn:8020", {}, ["http://nn:9870"]),
        ("nn:8020", {"dfs.namenode.http-address": "0.0.0.0:50070"}, ["http://nn:50070"]),
        ("nn:8020", {"dfs.namenode.http-address": "other:80"}, ["http://other:80"]),
        ("nn:8020", {"dfs.http.policy": "HTTPS_ONLY"}, ["https://nn:9871"]),
        ("tlc", HA, ["http://one:9870", "http://two:9870"]),
        ("b", {"dfs.namenode.http-address.b": "three:9870"}, ["http://three:9870"]),
    ],
)
def test_namenodes_of_hdfs_site(
    conf: Path, place: str, properties: dict[str, str], urls: list[str]
) -> None:
    write(conf / "hdfs-site.xml", properties)
    assert namenode_urls(place) == urls


def test_setting_names_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYC_TAXI_WEBHDFS_URL", "http://a:14000/webhdfs/v1/, http://b:14000")
    assert namenode_urls("nn:8020") == ["http://a:14000", "http://b:14000"]


def test_unreadable_configuration_is_named(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (conf / "hdfs-site.xml").write_text("<configuration>")
    with pytest.raises(InvalidInputError, match=r"hdfs-site\.xml of HADOOP_CONF_DIR"):
        open_lake("hdfs://nn:8020/lake")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(conf / "none"))
    with pytest.raises(InvalidInputError, match="is not a folder"):
        open_lake("hdfs://nn:8020/lake")


def test_standby_namenode_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    standby = exception("StandbyException", "Operation category READ is not supported in state")
    active = json.dumps({"FileStatus": {"length": 3}}).encode()
    with answering(403, standby) as first, answering(200, active) as second:
        monkeypatch.setenv(
            "NYC_TAXI_WEBHDFS_URL", f"{first},http://127.0.0.1:{free_port()},{second}"
        )
        assert WebHdfs("tlc").status("/lake") == {"length": 3}
        monkeypatch.setenv("NYC_TAXI_WEBHDFS_URL", first)
        with pytest.raises(ConnectionLostError, match="is not supported in state"):
            WebHdfs("tlc").status("/lake")


@pytest.mark.parametrize(
    ("status", "body", "retryable", "message"),
    [
        (404, IPC, False, r"is not WebHDFS of hdfs://nn:8020; set HADOOP_CONF_DIR"),
        (200, b"<html>", False, "is not WebHDFS"),
        (401, b"<html>Authentication required", False, "requires Kerberos"),
        (502, b"<html>", True, "HTTP 502"),
        (403, exception("AccessControlException", "user=x"), False, "hdfs dfs -chown"),
        (403, exception("SafeModeException", "Name node is in safe mode"), True, "safe mode"),
        (
            403,
            exception("IOException", "File /x could only be written to 0 of the 1 minReplication"),
            True,
            "dfsadmin -report",
        ),
        (403, exception("DSQuotaExceededException", "full"), False, "raise the quota"),
        (400, exception("IllegalArgumentException", "bad"), False, "IllegalArgumentException: bad"),
    ],
)
def test_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, retryable: bool, message: str
) -> None:
    with answering(status, body) as url:
        monkeypatch.setenv("NYC_TAXI_WEBHDFS_URL", url)
        with pytest.raises(StorageError, match=message) as raised:
            open_lake("hdfs://nn:8020/lake").get("key")
    assert raised.value.retryable is retryable


def test_datanode_whose_name_is_unknown_here_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The NameNode of a cluster in containers sends clients to the ids of the containers."""
    (tmp_path / "month").write_bytes(b"month")
    location = "http://d85d3582cf58.invalid:9864/webhdfs/v1/lake/x?op=CREATE"
    with answering(307, b"", location=location) as url:
        monkeypatch.setenv("NYC_TAXI_WEBHDFS_URL", url)
        with pytest.raises(ConnectionLostError, match=r"reaches d85d3582cf58\.invalid:9864"):
            WebHdfs("nn:8020").write(tmp_path / "month", "/lake/x")


def test_no_answer_is_retried_and_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYC_TAXI_WEBHDFS_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1:\d+: .*refused.*reaches"):
        open_lake("hdfs://nn:8020/lake").check()
