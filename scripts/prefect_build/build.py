"""Find, check, store and register every flow under flows/: see `build.py --help`.

Starts the package that this file is in. Every process that imports a flow runs this file too, so
it imports nothing heavy.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:] = [str(HERE.parents[1]), *(path for path in sys.path if path != str(HERE))]

if __name__ == "__main__":
    from scripts.prefect_build.cli import main

    main()
