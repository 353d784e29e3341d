"""Run the benchmarks and print their tables as Markdown.

Contenders run in turn and the best of three counts, because other load on the machine affects
every figure: compare them with each other, not with figures of another run.
"""

from __future__ import annotations

import argparse

from bench import build, cached, cluster, conform, gcp, image, lakehouse, memory, postgres, report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="what", metavar="BENCHMARK", help="default: all")
    conform_parser = commands.add_parser("conform", help=conform.__doc__)
    conform_parser.add_argument("--rows", type=int, nargs="+", default=conform.ROWS)
    memory_parser = commands.add_parser("memory", help=memory.__doc__)
    memory_parser.add_argument("--rows", type=int, default=memory.ROWS)
    lakehouse_parser = commands.add_parser("lakehouse", help=lakehouse.__doc__)
    lakehouse_parser.add_argument("--rows", type=int, nargs="+", default=lakehouse.ROWS)
    cluster_parser = commands.add_parser("cluster", help=cluster.__doc__)
    cluster_parser.add_argument("--rows", type=int, nargs="+", default=cluster.ROWS)
    commands.add_parser("cached", help=cached.__doc__)
    commands.add_parser("gcp", help=gcp.__doc__)
    commands.add_parser("postgres", help=postgres.__doc__)
    commands.add_parser("build", help=build.__doc__)
    commands.add_parser("image", help=image.__doc__)
    commands.add_parser("report", help=report.__doc__)
    args = parser.parse_args()

    if args.what in (None, "conform"):
        for rows in args.rows if args.what else conform.ROWS:
            print(conform.conform(rows), end="\n\n", flush=True)
    if args.what in (None, "memory"):
        print(memory.memory(args.rows if args.what else memory.ROWS), end="\n\n", flush=True)
    if args.what in (None, "lakehouse"):
        rows = args.rows if args.what else lakehouse.ROWS
        print(lakehouse.lakehouse(rows), end="\n\n", flush=True)
    if args.what == "cluster":  # not among all: it needs Java and Spark
        print(cluster.cluster(args.rows), end="\n\n", flush=True)
    if args.what in (None, "cached"):
        print(cached.cached(), end="\n\n", flush=True)
    if args.what in (None, "gcp"):
        print(gcp.gcp(), end="\n\n", flush=True)
    if args.what in (None, "postgres"):
        print(postgres.postgres(), end="\n\n", flush=True)
    if args.what in (None, "build"):
        print(build.build(), end="\n\n", flush=True)
    if args.what in (None, "image"):
        print(image.image(), end="\n\n", flush=True)
    if args.what in (None, "report"):
        print(report.report(), flush=True)


if __name__ == "__main__":
    main()
