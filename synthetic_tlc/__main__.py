"""Generate synthetic TLC months, serve them and a stand-in for Open-Meteo, or run the demo."""

from __future__ import annotations

import argparse
import signal
import time
from contextlib import suppress
from pathlib import Path

from synthetic_tlc import Site, write_month, write_zones
from synthetic_tlc.demo import demo
from synthetic_tlc.open_meteo import OpenMeteo

ROWS = {"yellow": 200_000, "green": 76_518, "fhv": 100_000, "fhvhv": 300_000}


def color_month(text: str) -> tuple[str, int, int]:
    try:
        color, month = text.split(":")
        year, number = month.split("-")
        return color, int(year), int(number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not COLOR:YYYY-MM, such as yellow:2021-01"
        ) from None


def make(args: argparse.Namespace) -> None:
    write_zones(args.folder / "misc")
    for color, year, month in args.months:
        rows = args.rows or ROWS.get(color, 10)
        path = write_month(
            args.folder / "trip-data", color, year, month, rows, args.seed, args.format
        )
        print(f"{path}: {rows:,} rows, {path.stat().st_size:,} bytes")


def serve(args: argparse.Namespace) -> None:
    if not args.folder.is_dir():
        raise ValueError(
            f"the folder {args.folder} does not exist; create it: "
            f"python -m synthetic_tlc make {args.folder} yellow:2021-01"
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    next_port = args.port + 1 if args.port else 0
    with (
        suppress(KeyboardInterrupt),
        Site(args.folder, args.port) as site,
        OpenMeteo(next_port) as meteo,
    ):
        print(f"serving {args.folder} at {site.url}", flush=True)
        print(f"serving air quality at {meteo.air_quality_url}", flush=True)
        print(f"serving weather at {meteo.weather_url}", flush=True)
        while True:
            time.sleep(3600)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m synthetic_tlc", description=__doc__)
    commands = parser.add_subparsers(required=True)

    make_parser = commands.add_parser(
        "make", help="generate months in FOLDER/trip-data and zones in FOLDER/misc"
    )
    make_parser.add_argument("folder", type=Path)
    make_parser.add_argument("months", nargs="+", type=color_month, metavar="COLOR:YYYY-MM")
    make_parser.add_argument("--rows", type=int, help=f"rows per month (default: {ROWS})")
    make_parser.add_argument("--format", choices=["parquet", "csv.gz"], default="parquet")
    make_parser.add_argument("--seed", type=int, default=0)
    make_parser.set_defaults(run=make)

    serve_parser = commands.add_parser(
        "serve", help="serve FOLDER, and a stand-in for Open-Meteo, on 127.0.0.1 until stopped"
    )
    serve_parser.add_argument("folder", type=Path)
    serve_parser.add_argument(
        "--port", type=int, default=8009, help="port of FOLDER; Open-Meteo has the next one"
    )
    serve_parser.set_defaults(run=serve)

    demo_parser = commands.add_parser(
        "demo", help="run the flows on synthetic data, from a local TLC site"
    )
    demo_parser.add_argument("folder", type=Path)
    demo_parser.set_defaults(run=lambda args: demo(args.folder.resolve()))

    args = parser.parse_args()
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
