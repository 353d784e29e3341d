"""Time of a run with nothing to download: Python, Prefect and its server."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.markdown import table
from bench.processes import environment, make_month, seconds, serving
from local_services.process import free_port

ROWS = 76_518
ROUNDS = 3
FLOW = ("flows/etl_web_to_bq.py", "--color", "green")
IMPORT = ("-c", "import prefect")


def cached() -> str:
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        make_month(folder / "site", "green", ROWS)
        site, api = free_port(), free_port()
        source = f"http://127.0.0.1:{site}/trip-data"
        alone = environment(folder, NYC_TAXI_SOURCE_URL=source)
        home = str(folder / "server")
        url = f"http://127.0.0.1:{api}/api"
        with_server = alone | {"PREFECT_HOME": home, "PREFECT_API_URL": url}
        prefect = ("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(api))
        with serving(
            "-m", "synthetic_tlc", "serve", folder / "site", "--port", str(site), port=site
        ):
            first = seconds(*FLOW, env=alone)
            with serving(*prefect, port=api, env=alone | {"PREFECT_HOME": home}):
                seconds(*FLOW, env=with_server)
                turns = [
                    (
                        seconds(*IMPORT, env=alone),
                        seconds(*FLOW, env=alone),
                        seconds(*FLOW, env=with_server),
                    )
                    for _ in range(ROUNDS)
                ]
    print(f"import, run, run with a server: {turns}", file=sys.stderr)
    importing, later, served = map(min, zip(*turns, strict=True))
    lines = [
        ('`python -c "import prefect"`', f"{importing:.1f}"),
        ("first run: downloads the month, creates Prefect's database", f"{first:.1f}"),
        ("later run: the month is cached", f"{later:.1f}"),
        ("later run with a running Prefect server", f"{served:.1f}"),
    ]
    title = f"`python {' '.join(FLOW)}`, {ROWS:,} rows, from start to end"
    return f"{title}\n\n{table(('what', 'seconds'), lines)}"
