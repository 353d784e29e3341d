"""Hourly air quality and weather of New York from Open-Meteo, by its two APIs.

One request has all points and up to a year of days. Limits of free use: 600 calls a minute, 5,000
an hour and 10,000 a day, where a request counts as

    points * max(1, variables / 10 * days / 14) calls

so a year of weather counts as about 94 calls, a year of air quality as 203. A refusal is HTTP 429
with a reason and without Retry-After; only one request per address runs at a time, the next six
wait. With a key, the host has the prefix `customer-`.
(https://open-meteo.com/en/pricing, https://github.com/open-meteo/open-meteo/issues/438 and 1493)
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from urllib.parse import parse_qsl, unquote, urlencode

import httpx
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import SecretStr

from nyc_taxi.errors import (
    CorruptFileError,
    SourceError,
    SourceRefusedError,
    TransientSourceError,
)
from nyc_taxi.sources.file_formats import is_text
from nyc_taxi.sources.http_client import Reply, get
from nyc_taxi.sources.http_errors import retry_after
from nyc_taxi.sources.open_meteo_responses import (
    FailedResponseError,
    UnusableResponseError,
    error_reason,
    read_response,
)
from nyc_taxi.sources.open_meteo_tables import POINTS, HourlyTable
from nyc_taxi.urls import safe_url

_FREE_HOST = re.compile(r"^(https?://)(?!customer-)([\w.-]+\.open-meteo\.com\b)", re.I)
MINUTE = 61.0
"""Seconds after which the calls of a minute no longer count."""
REFUSALS = (400, 401, 403, 429, 500, 502, 503, 504)
"""Statuses whose body has the reason."""


def fetch_hours(
    table: HourlyTable,
    first: date,
    last: date,
    url: str,
    key: SecretStr | None = None,
    timeout: float = 30,
) -> pa.Table:
    """Return the hours from the first day to the last one, without those in the future.

    `first` and `last` are days in UTC. Raises TransientSourceError if a retry may succeed, else
    another SourceError.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    address = request_url(table, first, last, url, key)
    name, secrets = safe_url(address), _secrets(url, key)
    receive = partial(_receive, name=name, setting=table.setting, secrets=secrets)
    body = get(address, receive, timeout=timeout, accept=(200, *REFUSALS), setting=table.setting)
    try:
        hours = read_response(body, table, first, last)
    except FailedResponseError as problem:
        said = _masked(str(problem), secrets)
        raise TransientSourceError(f"{name} sent {said}; rerun in a few minutes") from None
    except UnusableResponseError as problem:
        said = _masked(str(problem), secrets)
        raise CorruptFileError(
            f"the response of {name} cannot be used: {said}; check {table.setting}, and any "
            "proxy in between"
        ) from None
    past = hours.filter(pc.less_equal(hours["time_utc"], pa.scalar(now, pa.timestamp("us"))))
    fetched_at = pa.repeat(pa.scalar(now, pa.timestamp("us")), len(past))
    return past.append_column("fetched_at", fetched_at)


def request_url(
    table: HourlyTable, first: date, last: date, url: str, key: SecretStr | None = None
) -> str:
    """Return the URL of a request. It may contain the key: log `safe_url` of it instead."""
    url = url.strip()
    latitudes, longitudes = zip(*POINTS.values(), strict=True)
    query = {
        "latitude": ",".join(map(str, latitudes)),
        "longitude": ",".join(map(str, longitudes)),
        "hourly": ",".join(column.name for column in table.columns),
        "start_date": first.isoformat(),
        "end_date": last.isoformat(),
        "timezone": "GMT",
        "cell_selection": "nearest",  # land would be another cell, farther away
    }
    if secret := key.get_secret_value().strip() if key else "":
        query["apikey"] = secret
        url = _FREE_HOST.sub(r"\1customer-\2", url)
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query, safe=',')}"


def _receive(reply: Reply, name: str, setting: str, secrets: Collection[str]) -> bytes:
    body = _content(reply, name, setting)
    if reply.status == 200:
        return body
    reason = _masked(error_reason(body), secrets) or "no reason given"
    raise _refusal(reply.status, reason, reply.headers.get("Retry-After", ""), name, setting)


def _content(reply: Reply, name: str, setting: str) -> bytes:
    """Return the body; a proxy may have compressed it, although `identity` was asked for."""
    body, encoding = b"".join(reply.chunks), reply.headers.get("Content-Encoding", "")
    with suppress(httpx.DecodingError):  # the header is wrong
        body = httpx.Response(200, headers={"Content-Encoding": encoding}, content=body).content
    if re.search("br|zstd", encoding) and not is_text(body[:1000]):
        raise CorruptFileError(
            f"{name} was sent with Content-Encoding {encoding}, which was not requested; check "
            f"{setting}, and any proxy in between"
        )
    return body


def _secrets(url: str, key: SecretStr | None) -> set[str]:
    """Return what no message may repeat: the key, and user, password and query of the setting.

    Values of up to three characters, such as `v=1`, are no secrets.
    """
    address, _, query = url.partition("?")
    login = re.search("//(.*)@", address)
    given = [key.get_secret_value().strip()] if key else []
    given += unquote(login[1]).split(":") if login else []
    given += [value for _, value in parse_qsl(query)]
    return {value for value in given if len(value) > 3}


def _masked(text: str, secrets: Collection[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):  # one may be the start of another
        text = text.replace(secret, "...")
    return text


def _refusal(status: int, reason: str, header: str, name: str, setting: str) -> SourceError:
    """Map a refusal to an error: a limit of a minute and 5xx pass, others need the user."""
    text = f"HTTP {status} for {name}: {reason.rstrip('.')}"
    wait = retry_after(header) or (MINUTE if "Minutely" in reason else None)
    if status == 429 and (wait or "concurrent" in reason):
        throttled = TransientSourceError(f"Open-Meteo throttles requests ({text}); rerun later")
        throttled.retry_after = wait
        return throttled
    if status >= 500:
        failed = TransientSourceError(
            f"Open-Meteo is temporarily unavailable ({text}); rerun in a few minutes"
        )
        failed.retry_after = retry_after(header)
        return failed
    if status == 429:
        return SourceRefusedError(
            f"the limit of Open-Meteo is reached ({text}); rerun when the hour or the day (UTC) "
            "is over, or set NYC_TAXI_OPEN_METEO_KEY"
        )
    return SourceRefusedError(
        f"Open-Meteo refuses the request ({text}); check {setting} and NYC_TAXI_OPEN_METEO_KEY"
    )
