"""Create or update the deployments of the lakehouse's flows; a rerun changes nothing.

The settings of each are in its deployment.yaml. scripts/prefect_build/build.py does the work.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "scripts" / "prefect_build" / "build.py"


class OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.exit(f"error: {message}; see deploy.py --help")


def main() -> int:
    flows = {path.parent.name.replace("_", "-"): path for path in sorted(HERE.glob("*/flow.py"))}
    parser = OneLineParser(prog="deploy.py", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="register every flow")
    which.add_argument("--flow", choices=[*flows], metavar="NAME", help=", ".join(flows))
    parser.add_argument("--update", action="store_true", help="create no new deployments")
    parser.add_argument(
        "--work-pool", metavar="NAME", help="pool of all of them, such as yarn-pool"
    )
    given = parser.parse_args()
    options = ["--projects", HERE.name] if given.all else ["--flows", str(flows[given.flow])]
    options += ["--update"] if given.update else []
    options += ["--work-pool", given.work_pool] if given.work_pool else []
    return subprocess.call([sys.executable, str(BUILD), *options])


if __name__ == "__main__":
    sys.exit(main())
