"""Requests of every kind that the flows send, and the secrets that no error may show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from nyc_taxi.doctor import check_source
from nyc_taxi.sources.http_client import Reply
from nyc_taxi.sources.reference_files import fetch_reference_file
from nyc_taxi.sources.tlc import fetch_month, published_version
from tests.support.downloads import JANUARY


def body(reply: Reply) -> bytes:
    return b"".join(reply.chunks)


CLIENTS: dict[str, Callable[[str, Path], object]] = {
    "months": lambda source, folder: fetch_month(JANUARY, source, folder, 5),
    "versions": lambda source, folder: published_version(JANUARY, source, 5),
    "reference files": lambda source, folder: fetch_reference_file("zones.csv", source, folder, 5),
    "doctor": lambda source, folder: check_source(source, 5),
}
SECRETS = ["s3cr3t", "us3r", "t0ken", "r3direct"]


def error_texts(problem: BaseException | None) -> Iterator[str]:
    """Yield the text and the attributes of an exception and its causes."""
    while problem is not None:
        yield f"{problem} {problem!r} {vars(problem)}"
        problem = problem.__cause__ or problem.__context__


class no_secrets:
    """Asserts that the exception of the block contains no secret."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        text = " ".join(error_texts(problem))
        assert not [secret for secret in SECRETS if secret in text]
