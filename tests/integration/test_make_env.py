"""docker/make_env.py: passwords of `make up`, added to .env."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from tests.support.docker_scripts import make_env


class TestMakeEnv:
    """docker/make_env.py, which `make up` runs."""

    @pytest.fixture(autouse=True)
    def no_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in make_env.GENERATORS:
            monkeypatch.delenv(name, raising=False)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"A=1",
            b"A=1\n",
            b"A=1\r\nB=2\r\n",
            b"# POSTGRES_PASSWORD=x\n",
            b"\xef\xbb\xbfA=\xe9",
        ]
        + [b"POSTGRES_PASSWORD=\n", b"MY_POSTGRES_PASSWORD=x\n", b"A=1\n\n\n"],
    )
    def test_missing_secrets_are_added_and_the_rest_is_unchanged(
        self, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / ".env"
        path.write_bytes(content)
        path.chmod(0o644)
        assert make_env.add_secrets(path) == ["POSTGRES_PASSWORD", "PREFECT_AUTH_STRING"]
        after = path.read_bytes()
        assert after.startswith(content)
        assert re.fullmatch(
            rb"\r?\n?POSTGRES_PASSWORD=[0-9a-f]{32}\r?\nPREFECT_AUTH_STRING=admin:[0-9a-f]{32}\r?\n",
            after[len(content) :],
        )
        assert not content or content.endswith(b"\n") or after[len(content) :].startswith(b"\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert make_env.add_secrets(path) == []
        assert path.read_bytes() == after
        assert list(tmp_path.iterdir()) == [path]

    def test_existing_secrets_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / ".env"
        content = b"export POSTGRES_PASSWORD = 'mine'\nPREFECT_AUTH_STRING=admin:mine"
        path.write_bytes(content)
        path.chmod(0o664)
        assert make_env.add_secrets(path) == []
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_missing_file_is_created_and_a_symbolic_link_kept(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "real")
        assert len(make_env.add_secrets(tmp_path / "link")) == 2
        assert (tmp_path / "link").is_symlink()
        assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600

    def test_utf_16_is_rejected(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("A=1\n", encoding="utf-16")
        with pytest.raises(ValueError, match="is not UTF-8 text; save it as UTF-8"):
            make_env.add_secrets(tmp_path / ".env")
