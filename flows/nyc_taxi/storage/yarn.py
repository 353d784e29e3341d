"""Applications on YARN, by the REST interface of the ResourceManager.

`python -m nyc_taxi.storage.yarn` exits 1 with one line if YARN does not answer.
"""

from __future__ import annotations

import sys
from typing import Any

import httpx

from nyc_taxi.errors import ConnectionLostError, InvalidInputError, StorageError
from nyc_taxi.network import create_tls_context
from nyc_taxi.storage.hadoop import hadoop_configuration, hadoop_user, with_host

TIMEOUT = 10
"""Seconds for an answer of the ResourceManager."""
PORTS = {"http": 8088, "https": 8090}
API = "/ws/v1/cluster"
LOGIN_REQUIRED = (401, 403)
UNFINISHED = "NEW,NEW_SAVING,SUBMITTED,ACCEPTED,RUNNING"


def resourcemanager_urls() -> list[str]:
    """Return the URLs of the ResourceManagers of yarn-site.xml. Raises InvalidInputError."""
    known = hadoop_configuration()
    if not known:
        raise InvalidInputError(
            "HADOOP_CONF_DIR is not set, or has no configuration; set it to the folder of "
            "core-site.xml, hdfs-site.xml and yarn-site.xml (make hadoop prints one)"
        )
    scheme = "https" if known.get("yarn.http.policy") == "HTTPS_ONLY" else "http"
    name = f"yarn.resourcemanager.webapp{'.https' if scheme == 'https' else ''}.address"
    ids = [each.strip() for each in known.get("yarn.resourcemanager.ha.rm-ids", "").split(",")]
    found = []
    for suffix in [f".{each}" for each in ids if each] or [""]:
        host = known.get(f"yarn.resourcemanager.hostname{suffix}", "127.0.0.1")
        address = known.get(f"{name}{suffix}", "")
        found.append(f"{scheme}://{with_host(address, host, PORTS[scheme])}")
    return found


def application_url(application: str) -> str:
    """Return the page of an application, which stays after its end."""
    return f"{resourcemanager_urls()[0]}/cluster/app/{application}"


def why_ended(application: str) -> str:
    """Return one line on the end of an application: its state, and YARN's diagnostics."""
    app = _ask("GET", f"/apps/{application}")["app"]
    said = " ".join(str(app.get("diagnostics") or "no diagnostics").split())
    return f"{application} is {app['state']} ({app['finalStatus']}): {said[:500]}"


def kill_tagged(tag: str) -> None:
    """Kill the applications with a tag, which may be waiting for resources."""
    found = _ask("GET", "/apps", applicationTags=tag, states=UNFINISHED)["apps"]
    for app in (found or {"app": []})["app"]:
        _ask("PUT", f"/apps/{app['id']}/state", json={"state": "KILLED"})


def _ask(method: str, path: str, json: Any = None, **query: str) -> Any:
    """Ask the active ResourceManager; a standby redirects to it.

    Raises ConnectionLostError; StorageError if it requires a login, such as Kerberos.
    """
    urls = resourcemanager_urls()
    reason = ""
    for url in urls:
        try:
            answer = httpx.request(
                method,
                f"{url}{API}{path}",
                params={"user.name": hadoop_user(), **query},
                json=json,
                timeout=TIMEOUT,
                trust_env=False,
                follow_redirects=True,
                verify=create_tls_context() if url.startswith("https") else False,
            )
            answer.raise_for_status()
            return answer.json()
        except httpx.HTTPStatusError as problem:
            status = problem.response.status_code
            if status in LOGIN_REQUIRED:
                raise StorageError(f"the ResourceManager {url} requires a login") from problem
            reason = f"HTTP {status}"
        except ValueError:
            reason = "it sent no JSON"
        except httpx.HTTPError as problem:
            reason = str(problem) or type(problem).__name__
    raise ConnectionLostError(
        f"the ResourceManager {', '.join(urls)} does not answer ({reason}); check "
        "yarn.resourcemanager.webapp.address in yarn-site.xml of HADOOP_CONF_DIR, and that YARN "
        "runs (make hadoop starts a local one)"
    )


def main() -> None:
    try:
        _ask("GET", "/metrics")
    except (ConnectionLostError, InvalidInputError) as problem:
        sys.exit(f"error: {problem}")
    except StorageError:
        return  # it answers; Spark has the login, a Kerberos ticket


if __name__ == "__main__":
    main()
