"""Wait until the Prefect API answers, then run a command: `healthy.py [SECONDS [COMMAND...]]`.

Exits with the command's exit code. As process 1 of a container, which ignores signals without a
handler, it forwards SIGTERM (`docker stop`) to every process, waits for all of them and exits with
143.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from types import FrameType
from urllib.error import HTTPError


def wait_for_api(seconds: float) -> None:
    url = os.environ["PREFECT_API_URL"]
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=4)
            return
        except OSError as problem:
            if isinstance(problem, HTTPError) and problem.code < 500:
                return  # it answers, even if it has no /health
            if time.monotonic() > deadline:
                sys.exit(f"error: the Prefect API at {url} does not answer: {problem}")
            time.sleep(1)


def run(command: list[str]) -> int:
    stopped = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        with suppress(ProcessLookupError):
            # The flow run is a grandchild in a separate session: as process 1, signal all of them.
            os.kill(-1 if os.getpid() == 1 else process.pid, signal.SIGTERM)

    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, stop)
    code = process.wait()
    if not stopped:
        return code
    with suppress(ChildProcessError):  # all have ended
        while True:
            os.wait()
    return 128 + stopped[0]


def main() -> int:
    seconds, *command = sys.argv[1:] or ["0"]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    wait_for_api(float(seconds))
    return run(command) if command else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--help"]:
        sys.exit(print(__doc__))
    sys.exit(main())
