"""Make targets on other machines: consoles without Unicode, old Pythons, spaces in paths."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import local_services.__main__
import local_services.postgres
from local_services import Service
from tests.support.processes import ROOT


@pytest.mark.few(2)
@pytest.mark.parametrize("encoding", ["cp1252", "iso-8859-1", "ascii", "cp437", "utf-8"])
def test_show_prints_tables_in_any_encoding(encoding: str) -> None:
    program = """
import duckdb
from synthetic_tlc.demo import show
show(duckdb.sql("SELECT 'Café → 1' AS place, 2.5 AS miles"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.decode(encoding)
    assert re.search(r"place .*miles", printed)
    assert "2.5" in printed
    assert ("┌" in printed) == (encoding == "utf-8")


@pytest.mark.parametrize(("named", "remade"), [(None, False), ("3.12", False), ("3.13", True)])
def test_make_creates_the_environment_again_for_another_python(
    tmp_path: Path, named: str | None, remade: bool
) -> None:
    for name in ("docker-requirements.txt", "pyproject.toml", "Makefile"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    for path, version in [(".venv/bin/python", "3.12"), ("3.12", "3.12"), ("3.13", "3.13")]:
        program = tmp_path / path
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    (tmp_path / ".venv" / "installed").touch()
    command = ["make", "--dry-run", "install", *([f"PYTHON=./{named}"] if named else [])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ("-m venv .venv" in done.stdout) is remade


def test_python_starts_below_a_folder_with_accents_in_the_posix_locale(tmp_path: Path) -> None:
    """Python 3.11 reads the path of flows/ as ASCII and does not start if it cannot."""
    checkout = tmp_path / "café"
    packages = checkout / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (checkout / "flows").mkdir()
    path = packages / "__editable__.nyc_taxi_flows-1.pth"
    path.write_text(f"{checkout}/flows")
    (checkout / "Makefile").write_text(
        f"{(ROOT / 'Makefile').read_text()}\nrelative:\n\t@$(RELATIVE)\n"
    )
    subprocess.run(["make", "--silent", "relative"], cwd=checkout, check=True)
    program = "import site, sys; site.addsitedir(sys.argv[1]); print(ascii(sys.path[-1]))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, str(packages)],
        env={**os.environ, "LC_ALL": "POSIX"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == ascii(f"{checkout}/flows"), done.stderr


class TestMakeInstall:
    def install(self, folder: Path, python: str) -> str:
        """Run `make install`; returns its error line."""
        for name in ("Makefile", "docker-requirements.txt", "pyproject.toml"):
            (folder / name).write_text((ROOT / name).read_text())
        done = subprocess.run(
            ["make", f"PYTHON={python}", "install"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert not (folder / ".venv").exists()
        (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(done.stderr.splitlines()) == 2, done.stderr  # our line and make's own
        return error

    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        path = tmp_path / "python"
        path.touch(mode=0o755)
        return path

    def test_install_rejects_a_pyenv_shim_without_version(
        self, tmp_path: Path, program: Path
    ) -> None:
        program.write_text("#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n")
        error = self.install(tmp_path, str(program))
        assert error.startswith(f"error: {program} cannot be run; install Python 3.11 to 3.13")

    def test_install_accepts_a_path_with_spaces(self, tmp_path: Path, program: Path) -> None:
        program.write_text("#!/bin/sh\necho 3.10\n")
        spaced = program.rename(tmp_path / "my python")
        assert f"{spaced} is 3.10" in self.install(tmp_path, str(spaced))

    def test_install_rejects_a_missing_python(self, tmp_path: Path) -> None:
        assert "no-python cannot be run" in self.install(tmp_path, "no-python")

    @pytest.mark.parametrize("version", ["3.10", "3.9", "2.7", "3.14"])
    def test_install_rejects_another_python(
        self, tmp_path: Path, program: Path, version: str
    ) -> None:
        program.write_text(f"#!/bin/sh\necho {version}\n")
        error = self.install(tmp_path, str(program))
        assert error.startswith("error: Python 3.11 to 3.13 is required, and ")
        assert f" is {version}; try: make PYTHON=" in error

    def test_install_rejects_a_python_without_venv(self, tmp_path: Path, program: Path) -> None:
        program.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\necho 3.12\n')
        error = self.install(tmp_path, str(program))
        assert error.endswith("on Debian and Ubuntu: sudo apt-get install python3.12-venv")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({}, ""),
        ({"PIP_INDEX_URL": "https://mirror/simple"}, "https://mirror/simple"),
        ({"PIP_INDEX_URL": "https://mirror/a", "UV_DEFAULT_INDEX": "https://b/a"}, "https://b/a"),
    ],
)
def test_make_installs_from_the_index_of_pip(
    tmp_path: Path, given: dict[str, str], used: str
) -> None:
    (tmp_path / "Makefile").write_text(
        f"{(ROOT / 'Makefile').read_text()}\nindex:\n\t@echo $$UV_DEFAULT_INDEX\n"
    )
    kept = {n: v for n, v in os.environ.items() if n not in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX")}
    done = subprocess.run(
        ["make", "--silent", "index"],
        cwd=tmp_path,
        env=kept | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == used


def test_postgres_up_quotes_the_path_of_psql(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_services.postgres, "BIN", Path("/my files/bin"))
    monkeypatch.setattr(local_services.postgres.PostgresServer, "up", lambda self: None)
    monkeypatch.setattr(sys, "argv", ["postgres", "up", "--folder", "/nowhere"])
    local_services.postgres.main()
    assert "\n             '/my files/bin/psql' postgresql://" in capsys.readouterr().out


def test_postgres_ports_of_make_and_compose_differ() -> None:
    compose = re.findall(r"\$\{POSTGRES_PORT:-(\d+)\}", (ROOT / "docker-compose.yml").read_text())
    make = re.findall(r"^POSTGRES_PORT \?= (\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert (len(compose), len(make)) == (1, 1)
    assert compose != make


def test_emulators_up_writes_private_files(
    gcs_server: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_services.__main__, "ROOT", tmp_path)
    monkeypatch.setattr(local_services.__main__, "FOLDER", tmp_path)
    monkeypatch.setattr(local_services.__main__, "servers", lambda: [gcs_server, gcs_server])
    local_services.__main__.up()
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "prefect").stat().st_mode) == 0o700


class TestSecretsScan:
    """The secrets scan of `make check`, in a temporary repository."""

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "test_it.py").write_text('password = "of-the-test"\n')
        (tmp_path / "Makefile").touch()
        (tmp_path / "it.py").write_text("x = 1\n")
        baseline = ROOT / ".secrets.baseline"
        (tmp_path / baseline.name).write_text(baseline.read_text())
        subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
        subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
        return tmp_path

    def scan(self, repository: Path) -> bool:
        """Return whether the scan passes."""
        commands = subprocess.run(
            ["make", "--dry-run", "check"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.replace(".venv/bin/", f"{shlex.quote(str(ROOT))}/.venv/bin/")
        lines = [line for line in commands.splitlines() if "git ls-files" in line]
        assert len(lines) == 3
        assert all(
            " -n " in line for line in lines[1:]
        )  # offline: findings are not verified over the network
        done = subprocess.run(
            ["sh", "-ec", "\n".join(lines)], cwd=repository, capture_output=True, text=True
        )
        return done.returncode == 0

    def test_scan_passes_without_secrets(self, repository: Path) -> None:
        assert self.scan(repository)

    @pytest.mark.parametrize("path", ["it.py", "tests/test_it.py", "new.txt"])
    def test_scan_finds_a_key(self, repository: Path, path: str) -> None:
        (repository / path).write_text(f"key = 'AKIA{'IOSFODNN7QXAMPLE'}'\n")
        assert not self.scan(repository)

    def test_scan_finds_a_password_in_code(self, repository: Path) -> None:
        (repository / "it.py").write_text(
            'password = "hunter2-and-more"\n'
        )  # pragma: allowlist secret
        assert not self.scan(repository)

    def test_scan_fails_outside_a_git_repository(self, repository: Path) -> None:
        subprocess.run(["rm", "-r", str(repository / ".git")], check=True)
        assert not self.scan(repository)
