"""Renew the generated parts of the documentation.

With --record also the recorded outputs: their commands run in a copy of this project.
"""

from __future__ import annotations

import argparse

from docs.tools.generators import generate
from docs.tools.pages import RECORDED, generated, pages


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m docs.tools", description=__doc__)
    parser.add_argument("--record", action="store_true", help="run the recorded commands as well")
    args = parser.parse_args()
    for path in pages():
        old = path.read_text()
        new = generated(old, generate)
        if args.record and RECORDED.search(new):
            from docs.tools.recorder import recorded

            new = recorded(new)
        if new != old:
            path.write_text(new)
            print(f"renewed {path}")


if __name__ == "__main__":
    main()
