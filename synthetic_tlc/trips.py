"""Synthetic trips: every field that the TLC has published, generated with numpy.

A field is generated when a column first needs it, with a random generator seeded by its name, so
the trips do not depend on the format or on the other columns.

Includes the anomalies of the published files: a block of trips whose meter fields are all null (6 %
of the taxi trips since 2019), pickups years outside the month, drop-offs before pickups, a distance
of 259,777 miles, zones 264 and 265, and charges that are voided by a second row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from synthetic_tlc.eras import era

Array = NDArray[Any]


class Tariff(NamedTuple):
    """Taxi fare rates in cents, valid from some month on."""

    flag: int
    mile: int
    minute: int
    step: int
    night: int
    rush: int
    improvement: int
    jfk: int
    airport: int


TARIFFS = {
    200901: Tariff(250, 200, 20, 10, 50, 100, 0, 4500, 0),
    201209: Tariff(250, 250, 25, 50, 50, 100, 0, 5200, 0),
    201501: Tariff(250, 250, 25, 50, 50, 100, 30, 5200, 125),
    202301: Tariff(300, 350, 35, 10, 100, 250, 100, 7000, 175),
}

# Values of each code with their relative frequency; None is null. Texts are indexes into WORDS.
CHOICES: dict[str, Mapping[Any, int]] = {
    "vendor": {1: 33, 2: 67},
    "vendor_2025": {1: 190, 2: 790, 6: 5, 7: 15},
    "vendor_word": {"VTS": 47, "CMT": 47, "DDS": 6},
    "passengers": {0: 20, 1: 720, 2: 150, 3: 40, 4: 20, 5: 28, 6: 20, 7: 1, 8: 1},
    "rate": {1: 9450, 2: 330, 3: 20, 4: 18, 5: 150, 6: 1, 99: 31},
    "flag": {"N": 99, "Y": 1},
    "flag_2009": {None: 70, 0: 29, 1: 1},
    "flag_2010": {None: 50, "N": 34, "Y": 1, "0": 14, "1": 1},
    "mta_2009": {None: 90, 50: 10},
    "meter_payment": {1: 700, 2: 285, 3: 8, 4: 7},
    "trip_type": {1: 97, 2: 3},
    "request_source": {None: 6, "Street": 64, "App": 30},
    "shared": {None: 95, 1: 5},
    "fhv_base": {"B00013": 4, "B00256": 6, "B00900": 5, "B01145": 4, "B02764": 9}
    | {"B02884": 7, "B00021         ": 3, "B03404": 8},
    "license": {"HV0003": 72, "HV0005": 28},
    "uber_base": {"B02764": 40, "B02872": 25, "B02875": 20, "B02887": 15},
    "rarely": {"N": 997, "Y": 3},
    "seldom": {"N": 95, "Y": 5},
}
WORDS: dict[str, list[str | None]] = {
    name: [None, *(word for word in weights if word is not None)]
    for name, weights in CHOICES.items()
    if any(isinstance(word, str) for word in weights)
}
WORDS["hv_base"] = WORDS["hv_origin"] = [*WORDS["uber_base"], "B02510"]
WORDS["fhv_affiliated"] = WORDS["fhv_base"]
WORDS["access"] = [None, " ", "N"]
WORDS["payment_2009"] = [None, "Credit", "CASH", "No Charge", "Dispute", "CREDIT", "Cash"]
WORDS["payment_2010"] = [None, "CRE", "CAS", "NOC", "DIS", "CRD", "CSH", "UNK"]

TIMES = {"pickup", "dropoff", "request", "on_scene"}  # seconds since 1970, New York local time
PARTS = {"fare", "extra", "mta", "mta_2009", "tip", "tolls", "improvement", "congestion"}
PARTS |= {"airport", "cbd"}
MONEY = PARTS | {"total", "black_car_fund", "sales_tax", "hv_tip", "driver_pay"}
MONEY |= {"hv_congestion", "hv_airport", "hv_cbd"}
REALS = {"distance", "miles", "start_lon", "start_lat", "end_lon", "end_lat"}

BUSY = {
    "yellow": [48, 68, 79, 107, 142, 161, 162, 163, 170, 186, 230, 234, 236, 237, 239, 263]
    + [132, 138, 264, 264, 265],
    "green": [7, 41, 42, 43, 61, 65, 74, 74, 74, 75, 75, 75, 82, 95, 97, 166, 244, 264, 265],
    "fhv": [264, 264, 264, 265, 265],
    "fhvhv": [132, 138, 61, 37, 79, 161, 230, 231, 265, 265],
}
ZONES = {  # weights: each of the 265 zones twice, busy zones 25 times more
    color: np.concatenate([np.arange(1, 266), np.arange(1, 266), np.repeat(busy, 25)])
    for color, busy in BUSY.items()
}
MANHATTAN = np.isin(np.arange(266), [*BUSY["yellow"][:16], 4, 13, 24, 41, 42, 43, 74, 75, 231])
CBD = np.isin(np.arange(266), [4, 13, 48, 68, 79, 107, 161, 162, 163, 170, 186, 230, 231, 234])
AIRPORTS = np.isin(np.arange(266), [132, 138])
WEEKDAY = [20, 12, 8, 6, 7, 14, 32, 58, 72, 68, 62, 62]  # trips per hour of the day
WEEKDAY += [65, 66, 70, 72, 70, 82, 95, 92, 82, 76, 68, 46]
WEEKEND = [78, 66, 54, 38, 24, 12, 14, 20, 30, 44, 56, 64]
WEEKEND += [68, 68, 67, 66, 66, 70, 76, 78, 74, 72, 74, 76]
NO_TIME = np.iinfo(np.int64).min  # numpy's NaT


class Month:
    """One month of one color: the state shared by its batches."""

    def __init__(self, color: str, year: int, month: int, rows: int, seed: int) -> None:
        self.color, self.number, self.rows, self.seed = color, 100 * year + month, rows, seed
        first = np.datetime64(f"{year}-{month:02}", "M")
        hours = np.arange(first, first + np.timedelta64(1, "M"), dtype="datetime64[h]")
        weekend = hours.astype("datetime64[D]").view("int64") % 7 // 2 == 1  # 1970-01-01: Thu.
        hour = hours.view("int64") % 24
        weights = np.where(weekend, np.take(WEEKEND, hour), np.take(WEEKDAY, hour))
        self.edges = (
            np.append(hours, hours[-1:] + np.timedelta64(1, "h"))
            .astype("datetime64[s]")
            .view("int64")
        )
        self.shares = np.append(0, weights.cumsum()) / weights.sum()
        self.tariff = era(TARIFFS, self.number)
        self.taxi = color in ("yellow", "green")


class Batch:
    """Rows `first` to `first + size` of a month, in pickup order."""

    def __init__(self, month: Month, first: int, size: int, fields: set[str]) -> None:
        self.month, self.first, self.size = month, first, size
        self.parts = sorted(PARTS & fields)
        self.drawn: dict[str, Array] = {}
        # A void repeats the previous trip with every amount negated. The first rows have none:
        # they are the outliers.
        at = self.rng("void").integers(size // 4, max(size // 2, 1), -(-size // 700))
        self.voids = np.unique(2 * at + 1) if month.taxi and size >= 10 else np.empty(0, np.int64)

    def rng(self, field: str) -> Generator:
        name = crc32(f"{self.month.color} {field}".encode())
        return np.random.default_rng([self.month.seed, self.month.number, self.first, name])

    def __getitem__(self, field: str) -> Array:
        if field not in self.drawn:
            values = FIELDS[field](self, self.rng(field))
            sign = -1 if field in MONEY else 1
            values[self.voids] = sign * values[self.voids - 1]
            self.drawn[field] = values
        return self.drawn[field]

    def some(self, rng: Generator, share: float) -> Array:
        """Return random row indexes, at least one."""
        return rng.integers(0, self.size, int(np.ceil(share * self.size)))


Field = Callable[[Batch, Generator], Array]


def choice(name: str) -> Field:
    words, weights = WORDS.get(name), CHOICES[name]
    values = [words.index(v) if words else np.nan if v is None else v for v in weights]
    urn: Array = np.repeat(values, list(weights.values()))
    return lambda batch, rng: urn[rng.integers(0, urn.size, batch.size, np.int32)]


def cents(values: Array) -> Array:
    return np.rint(values).astype(np.int64)


def chance(batch: Batch, rng: Generator, share: float) -> Array:
    hits: Array = rng.random(batch.size, np.float32) < share
    return hits


def zone(batch: Batch, rng: Generator) -> Array:
    urn = ZONES[batch.month.color]
    drawn: Array = urn[rng.integers(0, urn.size, batch.size, np.int32)]
    return drawn


def maybe_zone(batch: Batch, rng: Generator) -> Array:
    return np.where(chance(batch, rng, 0.3), np.nan, zone(batch, rng))


def degrees(middle: float) -> Field:
    def draw(batch: Batch, rng: Generator) -> Array:
        values = np.round(middle + 0.03 * rng.standard_normal(batch.size), 6)
        return np.where(chance(batch, rng, 0.02), 0.0, values)

    return draw


def pickup(batch: Batch, rng: Generator) -> Array:
    month = batch.month
    share = (batch.first + batch.size * np.sort(rng.random(batch.size))) / month.rows
    times: Array = np.interp(share, month.shares, month.edges).astype(np.int64)
    if batch.first == 0:
        # Wrong clocks: one pickup in 2008, one in 2041, others hours outside the month.
        off = rng.integers(1, 12 * 3600, min(2 + month.rows // 30_000, 43, batch.size))
        late = np.arange(off.size) % 2 == 1
        outliers = np.where(late, month.edges[-1] + off, month.edges[0] - off)
        far = [datetime(2008, 12, 31, 23, 2, 30), datetime(2041, 11, 15, 2, 57, 16)]
        outliers[:2] = np.array(far, "datetime64[s]").view("int64")[: outliers.size]
        times[: outliers.size] = outliers
    return times


def dropoff(batch: Batch, rng: Generator) -> Array:
    times = batch["pickup"] + batch["seconds"]
    wrong = batch.some(rng, 0.003)
    times[wrong] = batch["pickup"][wrong] - rng.integers(0, 1800, wrong.size)
    return times


def on_scene(batch: Batch, rng: Generator) -> Array:
    times = batch["pickup"] - rng.integers(0, 120, batch.size, np.int32)
    return np.where(batch["license"] == 2, NO_TIME, times)  # Lyft does not report it


def miles(batch: Batch, rng: Generator) -> Array:
    median, digits = (1.8, 100) if batch.month.taxi else (2.9, 1000)
    values = median * np.exp(0.85 * rng.standard_normal(batch.size, np.float32))
    rounded: Array = np.rint(np.minimum(values, 60) * digits).astype(np.float64) / digits
    return rounded


def distance(batch: Batch, rng: Generator) -> Array:
    values = batch["miles"].copy()
    values[batch.some(rng, 0.01)] = 0
    far = batch.some(rng, 2e-5)
    values[far] = np.round(np.exp(rng.uniform(8, 12.4, far.size)), 2)
    if batch.first == 0:
        values[batch.size // 8] = 259_777.54
    return values


def hour(batch: Batch, rng: Generator) -> Array:
    """Return the hour of the day, plus 24 at weekends."""
    days, seconds = np.divmod(batch["pickup"], 86_400)
    hours: Array = seconds // 3600 + 24 * (days % 7 // 2 == 1)
    return hours


def seconds(batch: Batch, rng: Generator) -> Array:
    """Return the duration in seconds, at 9 to 19 mph, slower in busy hours."""
    slow = 1 + np.append(WEEKDAY, WEEKEND) / 120
    per_mile = 190 * slow[batch["hour"]] + 90 * rng.random(batch.size, np.float32)
    return (60 + batch["miles"] * per_mile).astype(np.int64)


def fare(batch: Batch, rng: Generator) -> Array:
    tariff = batch.month.tariff
    metered = tariff.mile * batch["miles"] + tariff.minute / 60 * batch["seconds"]
    fares = tariff.flag + tariff.step * cents(metered / tariff.step)
    return np.where(batch["rate"] == 2, tariff.jfk, fares) if batch.month.taxi else fares


def extra(batch: Batch, rng: Generator) -> Array:
    tariff, by_hour = batch.month.tariff, np.zeros(48, np.int64)
    by_hour[[*range(6), *range(20, 30), *range(44, 48)]] = tariff.night
    by_hour[16:20] = tariff.rush
    extras: Array = by_hour[batch["hour"]]
    return extras


def tip(batch: Batch, rng: Generator) -> Array:
    share = 0.1 + 0.2 * rng.random(batch.size, np.float32)
    return np.where(batch["payment"] == 1, cents(share * batch["fare"]), 0)


def tolls(batch: Batch, rng: Generator) -> Array:
    price = 655 if batch.month.number < 202308 else 694
    return price * ((batch["miles"] > 7) & chance(batch, rng, 0.5))


def congestion(batch: Batch, rng: Generator) -> Array:
    price = 250 if batch.month.color == "yellow" else 275
    met = (MANHATTAN[batch["pu"]] | MANHATTAN[batch["do"]]) & ~batch["block"]
    return price * met * (batch.month.number >= 201901)


def block(batch: Batch, rng: Generator) -> Array:
    since_2019 = batch.month.taxi and batch.month.number >= 201901
    return chance(batch, rng, 0.06 if since_2019 else 0)


def spelled(codes: int) -> Field:
    """Spell payment codes as text: two spellings of card and cash, one of the others."""

    def draw(batch: Batch, rng: Generator) -> Array:
        pay = batch["payment"]
        other = np.where(pay <= 2, pay + 4, codes)
        return np.where(chance(batch, rng, 0.3) & ((pay <= 2) | (codes > 6)), other, pay)

    return draw


FIELDS: dict[str, Field] = {name: choice(name) for name in CHOICES} | {
    "nothing": lambda b, rng: np.full(b.size, np.nan),
    "block": block,
    "pickup": pickup,
    "dropoff": dropoff,
    "hour": hour,
    "seconds": seconds,
    "miles": miles,
    "distance": distance,
    "pu": zone,
    "do": zone,
    "fhv_pu": maybe_zone,
    "fhv_do": maybe_zone,
    "start_lon": degrees(-73.98),
    "start_lat": degrees(40.75),
    "end_lon": degrees(-73.97),
    "end_lat": degrees(40.76),
    "payment": lambda b, rng: np.where(b["block"], 0, b["meter_payment"]),
    "payment_2009": spelled(0),
    "payment_2010": spelled(7),
    "fare": fare,
    "extra": extra,
    "mta": lambda b, rng: np.full(b.size, 50),
    "tip": tip,
    "tolls": tolls,
    "improvement": lambda b, rng: np.full(b.size, b.month.tariff.improvement),
    "congestion": congestion,
    "airport": lambda b, rng: b.month.tariff.airport * (AIRPORTS[b["pu"]] & ~b["block"]),
    "cbd": lambda b, rng: 75 * (CBD[b["pu"]] | CBD[b["do"]]),
    "total": lambda b, rng: sum((np.nan_to_num(b[part]) for part in b.parts), np.zeros(b.size)),
    "fhv_affiliated": lambda b, rng: np.where(chance(b, rng, 0.05), 0, b["fhv_base"]),
    "hv_base": lambda b, rng: np.where(b["license"] == 2, 5, b["uber_base"]),
    "hv_origin": lambda b, rng: np.where(b["license"] == 2, 0, b["uber_base"]),
    "access": lambda b, rng: b["license"].copy(),  # Uber reports a blank
    "request": lambda b, rng: b["pickup"] - rng.integers(120, 900, b.size, np.int32),
    "on_scene": on_scene,
    "black_car_fund": lambda b, rng: cents(0.0275 * b["fare"]),
    "sales_tax": lambda b, rng: cents(0.08875 * b["fare"]),
    "hv_tip": lambda b, rng: cents(0.2 * b["fare"]) * chance(b, rng, 0.18),
    "driver_pay": lambda b, rng: cents((0.7 + 0.2 * rng.random(b.size)) * b["fare"]),
    "hv_congestion": lambda b, rng: 275 * (MANHATTAN[b["pu"]] | MANHATTAN[b["do"]]),
    "hv_airport": lambda b, rng: 250 * (AIRPORTS[b["pu"]] | AIRPORTS[b["do"]]),
    "hv_cbd": lambda b, rng: 150 * (CBD[b["pu"]] | CBD[b["do"]]),
}
