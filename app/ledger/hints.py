"""What is the matter with a database that cannot be had, and what to do; without a name or an address."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

# a server tells a client that it does not let in no SQLSTATE that libpq passes on; where it speaks another
# language than English, the last one is said
_HINTS: Final = tuple(
    (re.compile(told), hint)
    for told, hint in (
        ('database ".*" does not exist', "The database of DATABASE_URL does not exist: create it (createdb)."),
        ('role ".*" does not exist', "The role of DATABASE_URL does not exist: create it (createuser)."),
        (
            "authentication failed|no password supplied|pg_hba.conf|no such user",
            "The server does not let in the role of DATABASE_URL: check name and password, and pg_hba.conf.",
        ),
        (
            "too many clients|connection slots|too many connections|no more connections",
            "The server has no connection left: set a smaller DATABASE_POOL_SIZE, or raise its max_connections.",
        ),
        (
            "read-only|read only|hot standby|is not primary",
            "The server takes no writes: it is a standby, or read-only. The service goes on when one does.",
        ),
        (
            "lock timeout",
            "A migration waits for who uses a table for long: a query, a dump, a vacuum. It tries again.",
        ),
        ("starting up|shutting down|recovery", "The server is starting or stopping. The service waits for it."),
        ("SSL|certificate", "The server and DATABASE_URL do not agree about TLS: check sslmode and sslrootcert."),
        (
            "refused|No such file|timeout expired|timed out|unreachable|No route|resolve host",
            "No PostgreSQL answers at the address of DATABASE_URL: start it, or correct host and port.",
        ),
    )
)
NO_ANSWER = "The database does not answer yet; check DATABASE_URL and whether it runs."


def hint_of(told: str) -> str:
    """For what a driver told."""
    return next((hint for pattern, hint in _HINTS if pattern.search(told)), NO_ANSWER)


def place_of(url: URL) -> dict[str, str]:
    """Where it should be, for the log: server, database and role; or the file."""
    if url.get_backend_name() == "sqlite":
        return {"file": str(url.database)}
    [_, given] = url.get_dialect()().create_connect_args(url)
    hosts = str(given.get("host", "localhost")).split(",")
    ports = str(given.get("port", "5432")).split(",")
    each = zip(hosts, ports if len(ports) == len(hosts) else ports * len(hosts), strict=True)
    return {
        "server": ", ".join(host if host.startswith("/") else f"{host}:{port or 5432}" for host, port in each),
        "database": str(given.get("dbname")),
        "role": str(given.get("user", "that of the system's user")),
    }
