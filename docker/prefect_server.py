"""Prefect's API and UI, closed to web pages of other origins.

    prefect_server.py [--host 127.0.0.1] [--port 4200] [--origin http://127.0.0.1:4200 ...]
                      [--name HOST ...]

CORS alone leaves gaps: a page may open a WebSocket, send a POST that needs no preflight, or point
its own host name at 127.0.0.1 (DNS rebinding). So each request must be addressed to a loopback
name, an origin's host or a `--name`, and what a browser sends must come from one of the origins.
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


class OnlyTheseOrigins:
    """ASGI middleware for HTTP and WebSockets alike."""

    def __init__(self, app: App, origins: set[str], names: set[str]) -> None:
        self.app = app
        self.origins = origins
        self.names = names | {urlsplit(origin).hostname or "" for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and (problem := self.problem(scope["headers"])):
            await refuse(scope["type"], problem, send)
        else:
            await self.app(scope, receive, send)

    def problem(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or host_name(hosts[0]) not in self.names:
            return f"unknown host {', '.join(hosts)!r}; the server's names: {sorted(self.names)}"
        if origins and set(origins) - self.origins:
            return f"origin {', '.join(origins)!r} is not allowed; allowed: {sorted(self.origins)}"
        return None


def host_name(host: str) -> str | None:
    """Without the port, in small letters, without the dot of the DNS root."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return None


async def refuse(kind: str, problem: str, send: Send) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    body = json.dumps({"exception_message": problem}).encode()
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument(
        "--origin", action="append", metavar="URL", help="where browsers see the UI; may repeat"
    )
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="another name of this server"
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
        OnlyTheseOrigins(create_app(final=True), set(origins), {*LOOPBACK, *args.name}),
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
