"""CONNECTIONS_FILE: one store per table; what a table leaves out comes from the setting of that name."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from app.loading import for_connection
from app.setting_sources import read_file, read_secret, why
from app.settings import AT_FAULT, IN_FILES, OTHER_NAMES, Settings, SettingsFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFAULT: Final = "default"
_SECRETS: Final = IN_FILES - {"operator_api_key", "viewer_api_key", "database_url"}
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
_OTHER_NAMES: Final = {other.lower(): first.lower() for first, other in OTHER_NAMES.items()}
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
        except SettingsFault as fault:
            faults += [f"{where} {line}" for line in fault.lines]
    faults += [f"CONNECTIONS_FILE {path}, {line}" for line in _shared(stores)]
    if faults:
        raise SettingsFault(faults)
    return stores


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
                given = read_secret(folder / value)
            except (OSError, ValueError) as error:
                faults.append(f"{key} is not usable: {why(error)}; set the path of a file that holds it.")
                given = AT_FAULT
        else:
            faults.append(f"{key} is no setting of a connection.")
            continue
        if setting in values:
            faults.append(f"{key} is given twice: as {setting} and from a file; leave one out.")
        values[setting] = given
    try:
        made = for_connection(settings, values)
    except SettingsFault as fault:
        raise SettingsFault(faults + fault.lines) from None
    if faults:
        raise SettingsFault(faults)
    return Store(name, made)


def _shared(stores: dict[str, Store]) -> list[str]:
    """Two connections may share neither a webhook key nor a store hash."""
    keys = Counter(key for store in stores.values() for key in set(store.settings.webhook_keys) - {AT_FAULT})
    hashes = Counter(store.settings.stamped_api_store_hash for store in stores.values())
    hashes.pop(AT_FAULT, None)
    lines = []
    for connection, (_, settings) in stores.items():
        if any(keys[key] > 1 for key in settings.webhook_keys):
            lines.append(f"[connections.{connection}] ipaas_webhook_api_key is another connection's, too.")
        if hashes[settings.stamped_api_store_hash] > 1:
            lines.append(f"[connections.{connection}] stamped_api_store_hash is another connection's, too.")
    return lines
