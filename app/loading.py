"""From what is given to settings, or every fault of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from app.setting_sources import ENV_FILE, given, hand_on, read_secret, unknown, why
from app.setting_values import Port
from app.settings import AT_FAULT, IN_FILES, OTHER_NAMES, Settings, SettingsFault, given_as, is_absent

if TYPE_CHECKING:
    from collections.abc import Collection

_PORT: TypeAdapter[int] = TypeAdapter(Port)


def load_settings(**overrides: Any) -> Settings:
    """From the environment, `.env`, and the files that these name. Raises SettingsFault."""
    try:
        environment, in_file = given(overrides.get("_env_file", ENV_FILE))
    except UnicodeDecodeError:
        raise SettingsFault([".env is not usable: it is not UTF-8; save it as UTF-8."]) from None
    except OSError as error:
        raise SettingsFault([f".env is not usable: {why(error)}; let this user read it."]) from None
    hand_on(in_file)
    fields = [field for field, info in Settings.model_fields.items() if not info.exclude]
    known = [name for field in fields for name in names_of(field)]
    lines = [
        f"{name} in {where} is no setting: did you mean {meant}? Correct or remove it."
        for name, (where, meant) in unknown(environment, in_file, [*known, "IPAAS_STAMPED_URL"]).items()
    ]
    found: dict[str, Any] = {}
    unread: list[str] = []
    for field in fields:
        try:
            found |= from_file(field, in_file | environment)
        except SettingsFault as fault:
            lines += fault.lines
            unread.append(field)
    return settings_of(found | overrides, lines, unread)


def for_connection(settings: Settings, values: dict[str, Any]) -> Settings:
    """With these settings of a connection instead. Raises SettingsFault, names in lower case."""
    mine = {name: getattr(settings, name) for name in settings.model_fields_set}
    known = {name: value for name, value in mine.items() if not is_absent(value)} | values
    return settings_of(known | {"connections_file": None, "_env_file": None}, lower=True)


def listening_port() -> int:
    """PORT, for who needs it before all settings are read; the default where it is at fault, which they tell."""
    try:
        environment, in_file = given()
        return _PORT.validate_python((in_file | environment)["PORT"])
    except (KeyError, ValueError, OSError):  # pydantic's and Unicode's, too
        return int(Settings.model_fields["port"].default)


def names_of(field: str) -> list[str]:
    """A setting's names in the environment, the first one first, then those of files that hold it."""
    first = field.upper()
    names = [first, *([OTHER_NAMES[first]] if first in OTHER_NAMES else [])]
    return names + [f"{name}_FILE" for name in names if field in IN_FILES]


def from_file(field: str, values: dict[str, str]) -> dict[str, str]:
    """What the file holds that a setting is given by, if it is. Raises SettingsFault."""
    names = [name for name in names_of(field) if name in values]
    files = [name for name in names if name.endswith("_FILE")]
    if field not in IN_FILES or not files:
        return {}
    if len(names) > 1:
        raise SettingsFault([f"{names[0]} is given twice, as {' and as '.join(names)}; leave one out."])
    try:
        return {given_as(field): read_secret(Path(values[files[0]]))}
    except (OSError, ValueError) as error:
        what = Settings.model_fields[field].description
        line = f"{files[0]} is not usable: {why(error)}; set the path of a file that holds {what}."
        raise SettingsFault([line]) from None


def settings_of(
    values: dict[str, Any], lines: Collection[str] = (), unread: Collection[str] = (), *, lower: bool = False
) -> Settings:
    """Raises SettingsFault with `lines` and every fault; `unread`: settings whose fault is told already."""
    faults, made = _tried(values | {given_as(field): _stand_in(field) for field in unread})
    faulty = {_field_of(location): line_of(location, kind, text, lower=lower) for location, kind, text in faults}
    together = faulty.pop("", "")
    if faulty:  # what does not go together is seen without these
        further, made = _tried(values | {given_as(field): _stand_in(field) for field in (*faulty, *unread)})
        together = "\n".join(text for location, _, text in further if not location)
    told = [*lines, *faulty.values()]
    names = {field.upper() for field in (*faulty, *unread)}
    told += [line for line in together.splitlines() if line.split()[0] not in names]
    if told or made is None:
        raise SettingsFault(told, made)
    return made


def _tried(values: dict[str, Any]) -> tuple[list[tuple[tuple[int | str, ...], str, str]], Settings | None]:
    try:
        return [], Settings(**{given_as(name): value for name, value in values.items()})
    except ValidationError as error:
        return [(each["loc"], each["type"], each["msg"]) for each in error.errors(include_input=False)], None


def _stand_in(field: str) -> Any:
    """For a setting at fault."""
    info = Settings.model_fields[field]
    return AT_FAULT if info.is_required() else info.default


def _field_of(location: tuple[int | str, ...]) -> str:
    """The setting that a fault is of; empty = of several together."""
    original = {other: first for first, other in OTHER_NAMES.items()}
    name = str(location[0]).upper() if location else ""
    return original.get(name, name).lower()


def line_of(location: tuple[int | str, ...], kind: str, message: str, *, lower: bool = False) -> str:
    """What is wrong with a setting, and what to set; `lower`: as a file of connections writes names."""
    if not location:
        return message
    name = str(location[0]).upper()
    info = Settings.model_fields.get(_field_of(location))
    what = (info.description if info else None) or "a value"
    shown = name.lower() if lower else name
    if kind == "missing":
        return f"{shown} is missing: set {what}."
    reason = "must be a path" if kind == "path_type" else message[:1].lower() + message[1:]
    return f"{shown} is not usable: {reason}; set {what}."
