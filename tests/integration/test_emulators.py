"""Local services as processes: started once, stopped, and reported if they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from local_services import Service, gcs, running


class TestEmulators:
    def test_service_is_ready_after_start_and_gone_after_stop(self, tmp_path: Path) -> None:
        server = gcs(tmp_path)
        assert not server.process()
        with running(server):
            assert server.answers()
            server.start()  # a no-op
            taken = gcs(tmp_path / "other", server.port)
            with pytest.raises(Exception, match="is in use"):
                taken.start()
        assert not server.process()
        assert not server.answers()
        server.stop()  # a no-op

    def test_service_that_exits_at_once_is_reported(self, tmp_path: Path) -> None:
        command = (sys.executable, "-c", "raise SystemExit('no')", str(tmp_path))
        with pytest.raises(Exception, match=r"broken did not start; see .*broken\.log"):
            Service("broken", tmp_path, command, port=1).start()
