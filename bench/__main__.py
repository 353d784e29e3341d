"""Measure what the README claims, and print its tables.

Other work on the machine changes every figure, so contenders run in turn, the best of three
counts, and what to look at is how they compare.
"""

from __future__ import annotations

import argparse

from bench import build, cached, conform, gcp, image, memory, postgres


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="what", metavar="WHAT", help="all of them if left out")
    conforming = commands.add_parser("conform", help=conform.__doc__)
    conforming.add_argument("--rows", type=int, nargs="+", default=conform.ROWS)
    remembering = commands.add_parser("memory", help=memory.__doc__)
    remembering.add_argument("--rows", type=int, default=memory.ROWS)
    commands.add_parser("cached", help=cached.__doc__)
    commands.add_parser("gcp", help=gcp.__doc__)
    commands.add_parser("postgres", help=postgres.__doc__)
    commands.add_parser("build", help=build.__doc__)
    commands.add_parser("image", help=image.__doc__)
    args = parser.parse_args()

    if args.what in (None, "conform"):
        for rows in args.rows if args.what else conform.ROWS:
            print(conform.conform(rows), end="\n\n", flush=True)
    if args.what in (None, "memory"):
        print(memory.memory(args.rows if args.what else memory.ROWS), end="\n\n", flush=True)
    if args.what in (None, "cached"):
        print(cached.cached(), end="\n\n", flush=True)
    if args.what in (None, "gcp"):
        print(gcp.gcp(), end="\n\n", flush=True)
    if args.what in (None, "postgres"):
        print(postgres.postgres(), end="\n\n", flush=True)
    if args.what in (None, "build"):
        print(build.build(), end="\n\n", flush=True)
    if args.what in (None, "image"):
        print(image.image(), flush=True)


if __name__ == "__main__":
    main()
