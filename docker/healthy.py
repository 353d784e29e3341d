"""Whether the Prefect API answers, at once or within some seconds: `healthy.py [SECONDS]`."""

import os
import sys
import time
import urllib.request

deadline = time.monotonic() + float(sys.argv[1] if len(sys.argv) > 1 else 0)
while True:
    try:
        urllib.request.urlopen(f"{os.environ['PREFECT_API_URL']}/health", timeout=4)
        break
    except OSError as problem:
        if time.monotonic() > deadline:
            sys.exit(f"error: no answer from {os.environ['PREFECT_API_URL']}: {problem}")
        time.sleep(1)
