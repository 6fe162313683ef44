"""The page of a study that is being run: `serve` shows it on this machine until Ctrl-C."""

import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fanin.errors import FaninError, FaninValueError

NEEDED = ("starlette", "uvicorn")


def announce(address: str) -> None:
    """Says where the page is."""
    print(f"The study is shown at {address} (Ctrl-C ends it).", flush=True)


def serve(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = 8765,
    on_ready: Callable[[str], None] = announce,
) -> None:
    """Serves the live page of the study in `folder` until Ctrl-C; only reads.

    Args:
        host: address to listen on. Anything but a loopback address lets other machines read the study.
        port: to listen on; 0 takes a free one.
        on_ready: told of the page's address once it can be opened.

    Raises:
        FaninValueError: the folder holds no study, or the port is no port or in use.
        FaninError: Starlette or Uvicorn is not installed.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise FaninError(f"the live page needs {' and '.join(missing)}; install with: pip install 'fanin[watch]'")
    from fanin.lab.live import Watched

    watched = Watched(folder)
    try:
        with listen(host, port) as listening:
            import uvicorn

            from fanin.reports.live.app import application, loopback

            app = application(watched, host, lambda: server.should_exit)
            config = uvicorn.Config(
                app,
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=3,
                lifespan="off",
            )
            server = uvicorn.Server(config)
            if not loopback(host):
                print(
                    f"Whoever reaches this machine can read the study: host={host!r} is no loopback address.",
                    file=sys.stderr,
                )
            on_ready(address_of(host, listening.getsockname()[1]))
            server.run(sockets=[listening])
    except KeyboardInterrupt:  # Uvicorn passes it on once it is down
        pass
    finally:
        watched.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        FaninValueError: it cannot.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise FaninValueError(f"port={port!r} must be a whole number from 0 to 65535")
    try:
        family: Any = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family)
    except (socket.gaierror, UnicodeError):
        raise FaninValueError(f"host={host!r} is no address of this machine") from None
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise FaninValueError(
            f"port={port} on {host} cannot be had ({why}); name another with --port, or 0 for any that is free"
        ) from None


def address_of(host: str, port: int) -> str:
    """The page's address as a browser on this machine opens it."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"
