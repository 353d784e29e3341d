"""The lock of builds while its warehouse is unavailable."""

import pytest

from nyc_taxi.errors import ConnectionLostError
from nyc_taxi.transform.targets.lease import held


class RestartingRow:
    """A row of a warehouse that answers from the second attempt on."""

    table = "build_lock"
    attempts = 0

    def acquire(self) -> bool:
        self.attempts += 1
        if self.attempts == 1:
            raise ConnectionLostError("the NameNode does not answer")
        return True

    def renew(self) -> None: ...

    def release(self) -> None:
        self.attempts = 0


def test_lost_connection_is_retried_until_the_lock_is_held() -> None:
    row = RestartingRow()
    with held(row):
        assert row.attempts == 2
    assert row.attempts == 0


def test_warehouse_that_stays_unavailable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NYC_TAXI_WAIT", "0")
    with pytest.raises(ConnectionLostError, match="does not answer"), held(RestartingRow()):
        pass
