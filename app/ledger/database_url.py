"""DATABASE_URL, as SQLAlchemy and libpq write it, and what it may say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.ledger.faults import DatabaseFault, first_line
from app.ledger.sqlite_file import fault_of
from app.settings import Settings, SettingsFault

if TYPE_CHECKING:
    from app.telemetry.redaction import Redactor

_LAST_PORT = 65535
# What may be shown of the query of a URL; anything else may open something, or say where that is.
_HARMLESS = frozenset(
    {"host", "port", "user", "sslmode", "connect_timeout", "application_name", "target_session_attrs"}
)
_OPENS = re.compile("pass|key|secret|token", re.IGNORECASE)
_SEVERAL = re.compile(r"(?P<before>\w+://(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*,[^/?#@]*)(?P<rest>[/?#].*)", re.DOTALL)
_PORT = re.compile(r"(?P<host>\[.*\]|[^:]*)(?::(?P<port>\d*))?")


def shown_url(value: str) -> str:
    """A database's URL without what opens it, in whichever part that stands."""
    address, mark, query = value.partition("?")
    before, _, host = address.rpartition("@")
    scheme, slashes, credentials = before.partition("://")
    user, colon, _ = credentials.partition(":")
    shown = f"{scheme}{slashes}{user}:***@{host}" if colon else address
    fields = (each.partition("=") for each in query.split("&"))
    return shown + mark + "&".join(name + equals + _shown_field(name, text) for name, equals, text in fields)


def shown(url: URL) -> str:
    """The same of one that was read, by the name that people know the database by."""
    return shown_url(url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False))


def _shown_field(name: str, text: str) -> str:
    return text if name in _HARMLESS or not text else "***"


def _secrets_of(value: str) -> set[str]:
    """What opens the database of this URL, as it is written and as it is meant."""
    address, _, query = value.partition("?")
    password = address.rpartition("@")[0].partition("://")[2].partition(":")[2]
    fields = (each.partition("=") for each in query.split("&"))
    written = {password, *(text for name, _, text in fields if _OPENS.search(unquote(name)))}
    cut_off = password.partition("@")[2]  # SQLAlchemy takes it for a part of the host
    return {way for text in written for way in (text, unquote(text), unquote_plus(text))} | {cut_off}


def read_url(value: str) -> URL:
    """The URL with the driver that the product brings. Raises DatabaseFault."""
    try:
        url = _with_ports(_several_hosts(value) or make_url(value))
        numbers = [number(url.query.get(name, "0")) for name in ("prepare_threshold", "connect_timeout")]
        _check_host(url)
        kind = url.get_backend_name()
        if kind == "sqlite" and url.database and url.database != ":memory:":
            return url.set(drivername="sqlite")
        if kind in {"postgres", "postgresql"} and (url.database or url.query.get("dbname")) and min(numbers) >= 0:
            url = _with_password(url).set(drivername="postgresql+psycopg")
            _check_options(url)
            return url
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        message = "it is no database URL"
        raise DatabaseFault(message) from None
    message = "only sqlite:///path/to/file.db and postgresql://host/database are known"
    raise DatabaseFault(message)


def _several_hosts(value: str) -> URL | None:
    """`postgresql://h1:5432,h2:5432/name`, as libpq has it and SQLAlchemy does not."""
    found = _SEVERAL.fullmatch(value)
    if found is None or value.startswith("sqlite"):
        return None
    parts = [_PORT.fullmatch(each) for each in found["hosts"].split(",")]
    if None in parts:
        raise ValueError
    known = {"host": ",".join(each["host"].strip("[]") for each in parts if each)}
    if any(each["port"] for each in parts if each):
        known["port"] = ",".join(each["port"] or "5432" for each in parts if each)
    return make_url(found["before"] + found["rest"]).update_query_dict(known)


def _with_ports(url: URL) -> URL:
    """One port may be that of all hosts."""
    hosts, port = url.query.get("host"), url.query.get("port")
    if isinstance(hosts, str) and isinstance(port, str) and "," not in port:
        return url.update_query_dict({"port": ",".join([port] * len(hosts.split(",")))})
    return url


def _with_password(url: URL) -> URL:
    """Where whoever shows a URL expects it, to hide it."""
    given = url.query.get("password")
    return url.set(password=str(given)).difference_update_query(["password"]) if given else url


def _check_options(url: URL) -> None:
    url.get_dialect()().create_connect_args(url)  # an ArgumentError where hosts and ports do not match
    try:
        make_conninfo("", **dict.fromkeys(url.query.keys() - {"prepare_threshold"}, "1"))
    except ProgrammingError as error:
        raise DatabaseFault(first_line(error)) from None  # it names the option, no value


def number(value: str | tuple[str, ...]) -> int:
    """One that is written once; -1 = several. Raises ValueError."""
    return int(value) if isinstance(value, str) else -1


def _check_host(url: URL) -> None:
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        message = f"a port is a number from 1 to {_LAST_PORT}"
        raise DatabaseFault(message)
    if {"[", "]"} & set(url.host or ""):
        message = "its host has a bracket too many"
        raise DatabaseFault(message)


def url_of(settings: Settings, redactor: Redactor) -> URL:
    """DATABASE_URL, what is secret in it known to the redactor. Raises SettingsFault."""
    redactor.learn(*_secrets_of(settings.database_url))
    try:
        url = read_url(settings.database_url)
    except DatabaseFault as fault:
        raise unusable(fault) from None
    return url


def look_at_file(url: URL) -> None:
    """Raises SettingsFault for a SQLite file that can be no database; changes nothing."""
    reason = fault_of(Path(url.database or "")) if url.get_backend_name() == "sqlite" else None
    if reason is not None:
        raise unusable(reason)


def unusable(reason: object) -> SettingsFault:
    """What is wrong with DATABASE_URL, and what to set."""
    what = Settings.model_fields["database_url"].description
    return SettingsFault([f"DATABASE_URL is not usable: {reason}; set {what}."])
