"""The server of the API, and the socket that it listens on."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from ledger_pipeline.errors import InvalidInput


def server(app: ASGIApp) -> uvicorn.Server:
    """A server that logs no request by itself (it would write queries down) and speaks HTTP alone."""
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none", lifespan="off"
    )
    return uvicorn.Server(config)


@contextmanager
def listening(host: str, port: int) -> Generator[socket.socket]:
    """A socket on an address, closed at the end; raises InvalidInput for one that can't be used."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(f"port {port} of {host} can't be used ({reason}): choose another --port or --host") from None
    with listener:
        yield listener


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine's programs reach it."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
