"""scripts/spark_submit.sh says in one line what is missing; nothing of Spark is needed for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_services.process import free_port
from nyc_taxi.storage.yarn import resourcemanager_urls
from tests.support.fixed_responses import answering
from tests.support.processes import ROOT

FLOW = "flows/lakehouse/full_pipeline/flow.py"


def submit(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "scripts/spark_submit.sh", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def java(tmp_path: Path) -> str:
    """A JAVA_HOME, for a machine without Java."""
    program = tmp_path / "java" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(tmp_path / "java")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A HADOOP_CONF_DIR whose ResourceManager does not run."""
    folder = tmp_path / "conf"
    folder.mkdir()
    configure(folder, {"yarn.resourcemanager.webapp.address": f"127.0.0.1:{free_port()}"})
    return folder


def configure(folder: Path, properties: dict[str, str]) -> None:
    rows = [
        f"<property><name>{name}</name><value>{value}</value></property>"
        for name, value in properties.items()
    ]
    (folder / "yarn-site.xml").write_text(f"<configuration>{''.join(rows)}</configuration>")


def test_help_names_the_settings() -> None:
    done = submit("--help")
    assert done.returncode == 0
    assert "SPARK_DYN_MAX" in done.stdout
    assert "set -euo" not in done.stdout


def test_missing_prerequisites_are_one_line(conf: Path, java: str, tmp_path: Path) -> None:
    cases = {
        "flows/none.py does not exist": submit("flows/none.py", JAVA_HOME=java),
        "Java was not found in /none": submit(FLOW, JAVA_HOME="/none"),
        "HADOOP_CONF_DIR=/none is not a folder": submit(
            FLOW, JAVA_HOME=java, HADOOP_CONF_DIR="/none"
        ),
        "does not answer": submit(FLOW, JAVA_HOME=java, HADOOP_CONF_DIR=str(conf)),
        "does not answer (": submit(FLOW, JAVA_HOME=java, YARN_CONF_DIR=str(conf)),
    }
    for message, done in cases.items():
        assert done.returncode == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"<html>Authentication required", ""),
        (404, b"<html>", "does not answer (HTTP 404)"),
        (200, b"<html>login", "does not answer (it sent no JSON)"),
    ],
)
def test_resourcemanager_with_a_login_is_left_to_spark(
    conf: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, says: str
) -> None:
    """Spark has a Kerberos ticket; the check of the web address has none."""
    monkeypatch.setenv("HADOOP_CONF_DIR", str(conf))
    with answering(status, body) as url:
        configure(conf, {"yarn.resourcemanager.webapp.address": url.removeprefix("http://")})
        done = subprocess.run(
            [sys.executable, "-m", "nyc_taxi.storage.yarn"], capture_output=True, text=True
        )
    assert done.returncode == bool(says)
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == bool(says)


@pytest.mark.parametrize(
    ("properties", "urls"),
    [
        ({}, ["http://127.0.0.1:8088"]),
        ({"yarn.resourcemanager.hostname": "rm"}, ["http://rm:8088"]),
        (
            {
                "yarn.resourcemanager.hostname": "rm",
                "yarn.resourcemanager.webapp.address": "${yarn.resourcemanager.hostname}:9000",
            },
            ["http://rm:9000"],
        ),
        (
            {
                "yarn.resourcemanager.ha.rm-ids": "rm1, rm2",
                "yarn.resourcemanager.hostname.rm1": "a",
                "yarn.resourcemanager.webapp.address.rm2": "b:80",
            },
            ["http://a:8088", "http://b:80"],
        ),
        (
            {"yarn.http.policy": "HTTPS_ONLY", "yarn.resourcemanager.hostname": "rm"},
            ["https://rm:8090"],
        ),
    ],
)
def test_resourcemanagers_of_yarn_site(
    conf: Path, monkeypatch: pytest.MonkeyPatch, properties: dict[str, str], urls: list[str]
) -> None:
    monkeypatch.setenv("HADOOP_CONF_DIR", str(conf))
    configure(conf, {"yarn.nodemanager.port": "1", **properties})
    assert resourcemanager_urls() == urls
