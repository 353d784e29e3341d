"""Prefect's API and UI, protected from web pages of other origins.

    prefect_server.py [--host 127.0.0.1] [--port 4200] [--origin http://127.0.0.1:4200 ...]
                      [--name HOST ...]

CORS alone leaves gaps: a page can open a WebSocket, send a POST that needs no preflight, or point
its own host name at 127.0.0.1 (DNS rebinding). Therefore the Host of each request must be a
loopback name, the host of an origin or a `--name`, and its Origin, if any, one of the origins.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY_VIOLATION = 1008


class OriginGuard:
    """ASGI middleware that rejects HTTP and WebSocket requests with another Host or Origin."""

    def __init__(self, app: App, origins: set[str], names: set[str]) -> None:
        self.app = app
        self.origins = origins
        self.names = names | {urlsplit(origin).hostname or "" for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and (
            reason := self.rejection_reason(scope["headers"])
        ):
            await reject(scope["type"], reason, send)
        else:
            await self.app(scope, receive, send)

    def rejection_reason(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or host_name(hosts[0]) not in self.names:
            return f"unknown host {', '.join(hosts)!r}; allowed: {sorted(self.names)}"
        if origins and set(origins) - self.origins:
            return f"origin {', '.join(origins)!r} is not allowed; allowed: {sorted(self.origins)}"
        return None


def host_name(host: str) -> str | None:
    """Return the host in lower case, without port and trailing dot; None if it is invalid."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return None


async def reject(kind: str, reason: str, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    body = json.dumps({"exception_message": reason}).encode()
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument(
        "--origin", action="append", metavar="URL", help="URL of the UI in browsers; repeatable"
    )
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="additional host name of this server; repeatable",
    )
    args = parser.parse_args()
    origins = args.origin or [f"http://{name}:{args.port}" for name in LOOPBACK[:2]]
    os.environ.update(
        PREFECT_API_URL=f"http://127.0.0.1:{args.port}/api",
        PREFECT_SERVER_API_HOST=args.host,
        PREFECT_SERVER_API_PORT=str(args.port),
        PREFECT_SERVER_CORS_ALLOWED_ORIGINS=",".join(origins),
    )
    import uvicorn
    from prefect.server.api.server import create_app  # reads the settings above
    from prefect.settings import get_current_settings

    settings = get_current_settings().server
    uvicorn.run(
        OriginGuard(create_app(final=True), set(origins), {*LOOPBACK, *args.name}),
        host=args.host,
        port=args.port,
        log_level=settings.logging_level.lower(),
        timeout_keep_alive=settings.api.keepalive_timeout,
        timeout_graceful_shutdown=5,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
    )


if __name__ == "__main__":
    main()
