"""HDFS by WebHDFS, the HTTP interface of the NameNode and the DataNodes; it needs no Java.

    error                 cause
    ConnectionLostError   no answer, safe mode, no DataNode takes the block: retried
    StorageError          missing rights, a full quota, a server that is not WebHDFS
    FileNotFoundError     no such file

Requests go to the servers directly: HTTP_PROXY and HTTPS_PROXY have no effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import httpx

from nyc_taxi.cancellation import check_stopped, interruptible
from nyc_taxi.errors import ConnectionLostError, StorageError
from nyc_taxi.network import create_tls_context
from nyc_taxi.settings import settings
from nyc_taxi.storage.hadoop import hadoop_configuration, hadoop_user, with_host
from nyc_taxi.storage.range_reader import open_ranges

PREFIX = "/webhdfs/v1"
CHUNK = 1 << 20
"""Bytes per read of a file that is sent or received."""
PORTS = {"http": 9870, "https": 9871}
"""Default ports of a NameNode."""
_RIGHTS = ("AccessControlException", "SecurityException", "AuthorizationException")
_PERMANENT = re.compile("Illegal|Unsupported|Quota|Limit|NotDirectory|AlreadyExists|InvalidPath")
"""Matches exceptions that recur. All others are of servers that start, stop or are busy."""


class WebHdfs:
    """A file system of HDFS, `host:port` or the name of its nameservice."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.user = hadoop_user()
        self.urls = namenode_urls(place)
        tls = any(url.startswith("https") for url in self.urls)
        self.client = httpx.Client(
            timeout=settings().timeout,
            trust_env=False,
            verify=create_tls_context() if tls else False,
        )

    def status(self, path: str) -> dict[str, Any]:
        """Return length (bytes), modificationTime (ms), fileId and type of a file or folder."""
        answer: dict[str, Any] = self._read("GETFILESTATUS", path)["FileStatus"]
        return answer

    def list(self, folder: str) -> list[dict[str, Any]]:
        """Return the status of each file; its name is `pathSuffix`."""
        found: list[dict[str, Any]] = self._read("LISTSTATUS", folder)["FileStatuses"]["FileStatus"]
        return found

    def write(self, file: Path, path: str) -> None:
        """Send a local file, to a new file and its new folders; a failed write leaves a part.

        CREATE by itself would make folders that everyone can write to.
        """
        self._ask("PUT", "MKDIRS", path.rpartition("/")[0] or "/", permission="755")
        location = self._datanode(self._ask("PUT", "CREATE", path, overwrite="false"))
        with self._translated(location):
            headers = {"Content-Type": "application/octet-stream"}  # HttpFS accepts no other
            self._checked(self.client.put(location, content=_chunks(file), headers=headers))

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield `length` bytes from `offset`, or the rest of the file."""
        part = {} if length is None else {"length": str(length)}
        location = self._datanode(self._ask("GET", "OPEN", path, offset=str(offset), **part))
        with self._translated(location), self.client.stream("GET", location) as answer:
            if answer.is_error:
                answer.read()
            self._checked(answer)
            for chunk in answer.iter_bytes(CHUNK):
                check_stopped()
                yield chunk

    def open(self, path: str) -> BinaryIO:
        """Open this version of a file for reading in place, by a request for each range.

        Reads raise ConnectionLostError if the file is replaced meanwhile.
        """
        status = self.status(path)

        def read(first: int, last: int) -> bytes:
            content = self.read(inode(status), first, last - first + 1)
            try:
                return interruptible(lambda: b"".join(content), lambda: None)
            except FileNotFoundError as problem:
                raise replaced(f"hdfs://{self.place}{path}") from problem

        return open_ranges(read, status["length"])

    def replace(self, path: str, target: str) -> None:
        """Rename a file atomically; it replaces any other of that name."""
        self._ask("PUT", "RENAME", path, destination=target, renameoptions="OVERWRITE")

    def delete(self, path: str) -> None:
        self._ask("DELETE", "DELETE", path)

    def _ask(self, method: str, operation: str, path: str, **given: str) -> httpx.Response:
        """Send a request to the active NameNode; the answer may be a redirect to a DataNode."""
        query = {"op": operation, "user.name": self.user, **given}
        problem: StorageError | None = None
        for url in self.urls:
            try:
                with self._translated(url):
                    place = f"{url}{PREFIX}{quote(path)}"
                    return self._checked(self.client.request(method, place, params=query))
            except ConnectionLostError as lost:
                problem = lost
        assert problem
        raise problem

    def _read(self, operation: str, path: str) -> Any:
        answer = self._ask("GET", operation, path)
        try:
            return answer.json()
        except ValueError:
            raise self._not_webhdfs(str(answer.url)) from None

    def _datanode(self, answer: httpx.Response) -> str:
        location = answer.headers.get("Location")
        if not location:
            raise self._not_webhdfs(str(answer.url))
        return str(location)

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if not answer.is_error:
            return answer
        url, status = str(answer.url), answer.status_code
        try:
            problem = answer.json()["RemoteException"]
            kind, said = problem["exception"], _first_line(problem["message"])
        except (ValueError, LookupError, TypeError, AttributeError):
            if status == 401:
                raise StorageError(
                    f"hdfs://{self.place} requires Kerberos, which this lake does not support; set "
                    "NYC_TAXI_WEBHDFS_URL to a gateway that accepts simple authentication"
                ) from None
            if status >= 500:
                raise self._lost(url, f"HTTP {status}") from None
            raise self._not_webhdfs(url) from None
        if kind == "FileNotFoundException":
            raise FileNotFoundError(said)
        if kind in _RIGHTS:
            raise StorageError(
                f"hdfs://{self.place} denies access to the user {self.user} ({said}); grant it "
                "(hdfs dfs -chown), or set HADOOP_USER_NAME"
            )
        if not _PERMANENT.search(kind):
            raise self._lost(url, said)
        advice = "; raise the quota, or delete files" if "Quota" in kind else ""
        raise StorageError(f"hdfs://{self.place}: {kind}: {said}{advice}")

    @contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as problem:
            raise self._lost(url, str(problem) or type(problem).__name__) from problem

    def _lost(self, url: str, reason: str) -> ConnectionLostError:
        server = urlsplit(url).netloc
        return ConnectionLostError(
            f"hdfs://{self.place} is not available: {server}: {reason}; its content is unchanged: "
            "check that its HDFS runs (hdfs dfsadmin -report) and that this machine reaches "
            f"{server}, then rerun"
        )

    def _not_webhdfs(self, url: str) -> StorageError:
        return StorageError(
            f"{urlsplit(url).netloc} is not WebHDFS of hdfs://{self.place}; set HADOOP_CONF_DIR to "
            "the folder of its hdfs-site.xml, or NYC_TAXI_WEBHDFS_URL to http://HOST:9870"
        )


def open_uri(uri: str) -> BinaryIO:
    """Open an hdfs:// URI for reading in place, as WebHdfs.open. Raises FileNotFoundError."""
    parts = urlsplit(uri)
    hdfs = WebHdfs(parts.netloc)
    return interruptible(lambda: hdfs.open(parts.path), lambda: None)


def namenode_urls(place: str) -> list[str]:
    """Return the URLs of the NameNodes: of NYC_TAXI_WEBHDFS_URL, or of hdfs-site.xml."""
    if given := settings().webhdfs_url:
        return [url.strip().rstrip("/").removesuffix(PREFIX) for url in given.split(",")]
    known = hadoop_configuration()
    host = urlsplit(f"//{place}").hostname or ""
    scheme = "https" if known.get("dfs.http.policy") == "HTTPS_ONLY" else "http"
    name = f"dfs.namenode.{scheme}-address"
    one = known.get(f"{name}.{host}") or known.get(name, "")  # of a federation, or of the cluster
    addresses = _of_nameservice(known, name, host) or [one]
    return [f"{scheme}://{with_host(address, host, PORTS[scheme])}" for address in addresses]


def _of_nameservice(known: Mapping[str, str], name: str, service: str) -> list[str]:
    nodes = known.get(f"dfs.ha.namenodes.{service}", "")
    return [known.get(f"{name}.{service}.{node.strip()}", "") for node in nodes.split(",") if node]


def replaced(uri: str) -> ConnectionLostError:
    return ConnectionLostError(f"{uri} was replaced while it was read; rerun")


def inode(status: dict[str, Any]) -> str:
    """Return the path of this version of a file: one that replaces it has another inode."""
    return f"/.reserved/.inodes/{status['fileId']}"


def _first_line(message: str) -> str:
    """Return a Java message without its stack trace."""
    return " ".join(re.split(r"\s+at org\.", message)[0].split())[:300]


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            check_stopped()
            yield chunk
