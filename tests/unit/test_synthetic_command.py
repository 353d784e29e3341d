"""The command `python -m synthetic_tlc`."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

NAME = "yellow_tripdata_2021-01.parquet"


def test_command_makes_and_serves_months(tmp_path: Path) -> None:
    mirror = [sys.executable, "-m", "synthetic_tlc"]
    root = Path(__file__).parents[2]
    make = [*mirror, "make", str(tmp_path), "yellow:2021-01", "green:2021-01", "--rows", "100"]
    subprocess.run(make, cwd=root, check=True, stdout=subprocess.DEVNULL)
    serve = [*mirror, "serve", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        serve, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        line = process.stdout.readline()
        url = line.split()[-1]
        assert line == f"serving {tmp_path} at {url}\n"
        for path in (f"trip-data/{NAME}", "misc/taxi_zone_lookup.csv"):
            assert httpx.get(f"{url}/{path}").status_code == 200
        for api in ("air quality", "weather"):
            line = process.stdout.readline()
            assert line.startswith(f"serving {api} at http://127.0.0.1:")
            assert httpx.get(line.split()[-1]).json()["error"] is True
        process.send_signal(signal.SIGTERM)
        assert (process.wait(5), process.stdout.read(), process.stderr.read()) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["make", "data", "yellow-2021"],
            "'yellow-2021' is not COLOR:YYYY-MM, such as yellow:2021-01",
        ),
        (["serve", "nowhere"], "python -m synthetic_tlc make nowhere"),
    ],
)
def test_invalid_command_prints_the_valid_ones(arguments: list[str], message: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "synthetic_tlc", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
