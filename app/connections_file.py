"""CONNECTIONS_FILE: one store per table; what a table leaves out comes from the setting of that name."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from errno import EFBIG, EINVAL
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError

from app.settings import Settings, SettingsFault, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT: Final = "default"
_SECRETS: Final = frozenset(
    {"stamped_api_public_key", "stamped_api_private_key", "ipaas_webhook_api_key", "ipaas_api_token"}
)
_KEYS: Final = _SECRETS | {
    "stamped_api_url",
    "stamped_api_store_hash",
    "stamped_api_throttle_limit",
    "stamped_api_throttle_seconds",
    "stamped_concurrent_connections",
    "stamped_timeout_seconds",
    "stamped_subscribe_email_in",
    "ipaas_api_url",
    "ipaas_client_id",
    "subscription_field",
    "mapping_file",
}
_OTHER_NAMES: Final = {
    "stamped_api_user": "stamped_api_public_key",
    "stamped_api_password": "stamped_api_private_key",
}
_MOST_BYTES = 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)


class Store(NamedTuple):
    """The settings of one connection; `name` is shown to people."""

    name: str
    settings: Settings


def read_stores(settings: Settings) -> dict[str, Store]:
    """By connection: the iPaaS.com subscription id, or `default`, which serves every destination.

    Raises SettingsFault with every fault, each by file, table and key.
    """
    path = settings.connections_file
    if path is None:
        return {DEFAULT: Store(DEFAULT, settings)}
    stores: dict[str, Store] = {}
    faults: list[str] = []
    for connection, table in _tables(path):
        where = f"CONNECTIONS_FILE {path}, [connections.{connection}]"
        try:
            stores[connection] = _store(connection, table, settings, path.parent)
        except ValidationError as error:
            found = error.errors()
            faults += [f"{where} {line_of(each['loc'], each['type'], each['msg'], lower=True)}" for each in found]
        except SettingsFault as fault:
            faults += [f"{where} {line}" for line in fault.lines]
    faults += [f"CONNECTIONS_FILE {path}, {line}" for line in _shared(stores)]
    if faults:
        raise SettingsFault(faults)
    return stores


def read_file(path: Path) -> bytes:
    """Raises OSError, also for what is no plain file and might never end, and ValueError for what is no path."""
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "it is no file")
    content = path.read_bytes()
    if len(content) > _MOST_BYTES:
        raise OSError(EFBIG, "it is larger than 1 MiB")
    return content


def _tables(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        document = tomllib.loads(read_file(path).decode())
    except OSError as error:
        reason = (
            f"CONNECTIONS_FILE {path} cannot be read: {error.strerror}; set the path of a file of connections."
        )
        raise SettingsFault([reason]) from None
    except (ValueError, RecursionError) as error:  # no UTF-8, or no TOML: that names line and column
        reason = {UnicodeDecodeError: "it is not UTF-8", RecursionError: "it is nested too deeply"}.get(
            type(error), str(error)
        )
        raise SettingsFault([f"CONNECTIONS_FILE {path} is not usable: {reason}."]) from None
    tables = document.pop("connections", None)
    faults = [f"CONNECTIONS_FILE {path}, {name} is not known; write [connections.ID]." for name in document]
    if not isinstance(tables, dict) or not tables:
        faults.append(
            f"CONNECTIONS_FILE {path} has no [connections.ID], where ID is an iPaaS.com subscription id."
        )
        tables = {}
    for connection, table in tables.items():
        if not _ID.fullmatch(connection) or not isinstance(table, dict):
            faults.append(
                f"CONNECTIONS_FILE {path}, [connections.{connection!r}] is no table of a subscription id."
            )
        if connection == DEFAULT and len(tables) > 1:
            faults.append(f"CONNECTIONS_FILE {path}, [connections.default] serves every destination: name its id.")
    if faults:
        raise SettingsFault(faults)
    yield from tables.items()


def _store(connection: str, table: dict[str, Any], settings: Settings, folder: Path) -> Store:
    values: dict[str, Any] = {}
    faults: list[str] = []
    name = table.pop("name", connection)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        faults.append("name is not usable: it must be printable text.")
    for key, value in table.items():
        plain = key.removesuffix("_file")
        setting = _OTHER_NAMES.get(key if key in _KEYS | _OTHER_NAMES.keys() else plain, plain)
        if key in _KEYS or key in _OTHER_NAMES:
            setting = _OTHER_NAMES.get(key, key)
            given = folder / value if key == "mapping_file" and isinstance(value, str) else value
        elif plain != key and setting in _SECRETS and isinstance(value, str):
            try:
                given = read_file(folder / value).decode().strip()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is not UTF-8"
                faults.append(f"{key} is not usable: {folder / value} cannot be read: {reason}.")
                continue
        else:
            faults.append(f"{key} is no setting of a connection.")
            continue
        if setting in values:
            faults.append(f"{key} is given twice: as {setting} and from a file; leave one out.")
        values[setting] = given
    if faults:
        raise SettingsFault(faults)
    return Store(name, settings.for_connection(values))


def _shared(stores: dict[str, Store]) -> list[str]:
    """Two connections may share neither a webhook key nor a store hash."""
    keys = Counter(key for store in stores.values() for key in set(store.settings.webhook_keys))
    hashes = Counter(store.settings.stamped_api_store_hash for store in stores.values())
    lines = []
    for connection, (_, settings) in stores.items():
        if any(keys[key] > 1 for key in settings.webhook_keys):
            lines.append(f"[connections.{connection}] ipaas_webhook_api_key is another connection's, too.")
        if hashes[settings.stamped_api_store_hash] > 1:
            lines.append(f"[connections.{connection}] stamped_api_store_hash is another connection's, too.")
    return lines
