"""Whether the service that runs is the one of these settings: it knows each key, and has the same stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from app.settings import DOORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.cli.client import Service
    from app.connections import Connections
    from app.keys import Role
    from app.settings import Settings

ANOTHER = (
    "It is another service, such as a sandbox, or was started with other settings. "
    "Start it anew with these, or set IPAAS_STAMPED_URL to the one that is meant."
)


class _Key(NamedTuple):
    """One that is set here; `connection`: whose webhook it opens."""

    name: str
    role: Role
    connection: str | None
    secret: str


def strange(service: Service, settings: Settings, connections: Connections) -> list[str]:
    """What is not as it is set here, each said once. Raises ServiceProblem."""
    found: dict[str, None] = {}
    for key in _keys(settings, connections):
        access = service.access(key.secret)
        if access is None:
            found[f"what runs at {service.url} does not know the {key.name} of these settings"] = None
        elif (access["role"], key.connection or access["name"]) != (key.role, access["name"]):
            whose = f"{access['role']} {access['name']}"
            found[f"what runs at {service.url} takes the {key.name} of these settings for a key of {whose}"] = None
        elif settings.sandbox_url is None:
            there = {each["id"]: each for each in access["connections"]}
            found |= dict.fromkeys(_others(service, connections, there, key.connection))
    return list(found)


def _keys(settings: Settings, connections: Connections) -> Iterator[_Key]:
    for key in settings.keys:
        yield _Key(DOORS[key.who.role], key.who.role, None, key.secret)
    for each in connections:
        whose = f" of connection {each.id}" if len(connections) > 1 else ""
        for secret in each.settings.webhook_keys:
            yield _Key(f"{DOORS['webhook']}{whose}", "webhook", each.id, secret)


def _others(
    service: Service, connections: Connections, there: dict[str, dict[str, Any]], only: str | None
) -> Iterator[str]:
    for each in connections:
        if only not in {None, each.id}:
            continue
        if each.id not in there:
            yield f"what runs at {service.url} has no connection {each.id}"
            continue
        sends = (there[each.id]["stamped_api_url"], there[each.id]["stamped_api_store_hash"])
        here = (each.settings.stamped_api_url, each.settings.stamped_api_store_hash)
        if sends != here:
            told = f"{sends[0]}, store {sends[1]}; set here is {here[0]}, store {here[1]}"
            yield f"what runs at {service.url} sends connection {each.id} to {told}"
