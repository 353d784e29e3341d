"""Client and errors of Amazon S3 and of stores with its API."""

from __future__ import annotations

import os
import re
from typing import Any

from boto3.s3.transfer import S3TransferRetriesExceededError as RetriesExceededError
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from prefect_aws import S3Bucket

from nyc_taxi.errors import ConnectionLostError, InvalidInputError, StorageError
from nyc_taxi.settings import settings

CONNECT = 10
"""Seconds to wait for a connection."""
ATTEMPTS = 3
"""Number of tries of one request, with backoff between them."""
MAKE_BLOCK = "python blocks/make_s3_block.py"
RIGHTS = "s3:ListBucket on the bucket, s3:GetObject and s3:PutObject on its objects"
AWS_ERRORS = (BotoCoreError, ClientError, ResponseParserError, RetriesExceededError)

_TRANSIENT = re.compile(
    r"SlowDown|Throttling.*|TooManyRequests|RequestLimitExceeded|BandwidthLimitExceeded|429|"
    r"RequestTimeout|408|InternalError|ServiceUnavailable|OperationAborted|"
    r"IncompleteBody|BadDigest|XAmzContentSHA256Mismatch|NoSuchUpload|PreconditionFailed|412"
)
_ADVICE = {
    r"NoSuchBucket": "does not exist; create it (aws s3 mb {place}), or set NYC_TAXI_S3_BUCKET and "
    "run: {make}",
    r"ExpiredToken.*|TokenRefreshRequired|.*(SSO|Login|TokenRetrieval).*": "the session has "
    "expired ({said}); log in again (aws sso login), or set AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN to new values",
    r"InvalidHeader|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|InvalidClientTokenId|"
    r".*Credential.*|ProfileNotFound|MetadataRetrieval.*|Unauthorized|401": "the credentials are "
    "not accepted ({said}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and run: {make}",
    r"RequestTimeTooSkewed": "the clock of this machine differs from the server's by more than 15 "
    "minutes; set it (timedatectl set-ntp true)",
    r"AuthorizationHeaderMalformed|PermanentRedirect|TemporaryRedirect|IllegalLocation.*|301|"
    r".*Region.*": "the bucket is in another region ({said}); set AWS_DEFAULT_REGION to it and "
    "run: {make}",
    r"SecondLevelDomainForbidden|PathStyleDomainForbidden|InvalidPathAccess": "the server wants "
    "the bucket in the host name ({said}); set NYC_TAXI_S3_ADDRESSING=virtual and run: {make}",
    r"AccessDenied|AllAccessDisabled|Forbidden|403": "the credentials lack rights ({said}); grant "
    "them {rights}",
    r".*StorageFull|.*Quota.*|InsufficientStorage|507": "the store is full, or the quota is used "
    "up ({said}); delete objects, or ask for more, and rerun",
    r"NotTrusted": "the server's certificate is not trusted ({said}); set AWS_CA_BUNDLE or "
    "SSL_CERT_FILE to a PEM file of its certificate authority",
    r"NotTls": "the server does not speak TLS; write http:// in AWS_ENDPOINT_URL_S3 and run: "
    "{make}",
    r"WebPage|ResponseParserError|InvalidArgument|Bad.?Request|MethodNotAllowed|NoSuchKey|"
    r"40[045]": "the response is not from an S3 API ({said}); set AWS_ENDPOINT_URL_S3 to its "
    "address, without the bucket and not to a web console, and run: {make}",
    r"ParamValidationError|InvalidBucketName": "the block is invalid ({said}); set "
    "NYC_TAXI_S3_BUCKET and run: {make}",
}
"""Advice by error code of S3, or by exception class."""


def s3_client(block: S3Bucket) -> Any:
    """Return a client with the block's credentials, endpoint and options.

    Each request is signed with the SHA-256 of its body, which every store checks. The checksums
    that boto3 adds on top are off: older stores reject them, or write them into the object
    (https://github.com/boto/boto3/issues/4435).
    """
    given = block.credentials.aws_client_parameters.get_params_override()
    own = given.pop("config", None) or Config()
    config = Config(
        connect_timeout=CONNECT,
        read_timeout=settings().timeout,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        tcp_keepalive=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    ).merge(own)
    signed = Config(s3={**(own.s3 or {}), "payload_signing_enabled": True})
    given.setdefault("verify", _authorities())
    try:
        session = block.credentials.get_boto3_session()
        client = session.client("s3", config=config.merge(signed), **given)
    except ValueError as problem:
        raise InvalidInputError(
            f"the endpoint of the S3 bucket is not a URL ({one_line(problem)}); set "
            f"AWS_ENDPOINT_URL_S3 to https://HOST:PORT and run: {MAKE_BLOCK}"
        ) from problem
    client.meta.events.register("before-call.s3.HeadBucket", _unknown_region)
    return client


def _unknown_region(**_: Any) -> tuple[AWSResponse, dict[str, Any]]:
    """Answer the request by which botocore looks up a bucket's region after a redirect.

    A server that redirects that request too would make it recurse without end; Amazon names the
    region in the redirect itself.
    """
    return AWSResponse("", 200, {}, None), {"ResponseMetadata": {"HTTPHeaders": {}}}


def _authorities() -> str | None:
    """Return the CA file of the environment; None for that of ~/.aws/config, or else certifi's."""
    names = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def explain(place: str, problem: BaseException) -> StorageError:
    """Translate an error of AWS_ERRORS into one line with the fix."""
    if isinstance(problem, RetriesExceededError):
        problem = problem.last_exception
    kind, said = error_kind(problem), one_line(problem)
    if _is_transient(problem, kind):
        return ConnectionLostError(
            f"{place} is not available ({said}); its content is unchanged: check the network and "
            "AWS_ENDPOINT_URL_S3, then rerun"
        )
    advice = next((text for codes, text in _ADVICE.items() if re.fullmatch(codes, kind)), "{said}")
    text = advice.format(place=place, said=said, make=MAKE_BLOCK, rights=RIGHTS)
    return StorageError(f"{place} {text}" if kind == "NoSuchBucket" else f"{place}: {text}")


def error_kind(problem: BaseException) -> str:
    """Return S3's error code, such as `NoSuchBucket`; the class name of another exception."""
    if isinstance(problem, ClientError):
        headers = problem.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if status(problem) == 500 and "html" in headers.get("content-type", ""):
            return "WebPage"  # botocore makes it of a response 200 that is not XML
        return str(problem.response.get("Error", {}).get("Code", ""))
    text = str(problem)
    if "Invalid header value" in text:  # a line break in a key
        return "InvalidHeader"
    if isinstance(problem, SSLError) and re.search("CERTIFICATE|hostname", text):
        return "NotTrusted"
    if isinstance(problem, SSLError) and re.search("WRONG_VERSION|RECORD_LAYER", text):
        return "NotTls"
    return type(problem).__name__


def status(problem: ClientError) -> int:
    return int(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_transient(problem: BaseException, kind: str) -> bool:
    if isinstance(problem, ClientError):
        failed = status(problem) >= 500 and status(problem) not in (501, 507)
        permanent = kind == "WebPage" or kind.endswith("Full")
        return bool(_TRANSIENT.fullmatch(kind)) or (failed and not permanent)
    connection = (ConnectionError, HTTPClientError, IncompleteReadError, FlexibleChecksumError)
    return kind not in ("InvalidHeader", "NotTrusted", "NotTls") and isinstance(problem, connection)


def one_line(problem: BaseException) -> str:
    """Return the reason without credentials, signatures and upload ids."""
    if isinstance(problem, ClientError):
        error = problem.response.get("Error", {})
        text = f"{error.get('Code', '')}: {error.get('Message', '')}"
    else:
        text = str(problem)
    if "Invalid header value" in text:
        return "a key contains a line break"
    text = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1", " ".join(text.split()))
    return text[:300] or type(problem).__name__
