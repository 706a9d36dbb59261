"""The stores that this process serves, each with its clients and its mapping; the file of connections anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from app.connections_file import DEFAULT, Store, read_stores
from app.ipaas.client import IpaasAccount, IpaasClient
from app.keys import Key, Who, digests_of
from app.mapping import BUILT_IN, Mapping, MappingFault, load_mapping
from app.setting_sources import read_file
from app.settings import Settings, SettingsFault
from app.stamped.client import StampedAccount, StampedClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from app.clock import Clock
    from app.telemetry.metrics import Metrics
    from app.telemetry.redaction import Redactor

log = structlog.stdlib.get_logger("app")

_AT: Final = "@"


@dataclass(frozen=True, slots=True)
class Connection:
    """What iPaaS.com calls a subscription. `ipaas` None: records come along, external IDs are not written back.

    `scope` is what its transfers, links and repeats are kept under: the same connection to another store has its
    own, and so has each run of the sandbox.
    """

    id: str
    name: str
    scope: str
    stamped: StampedClient
    ipaas: IpaasClient | None
    mapping: Mapping
    redactor: Redactor
    settings: Settings
    keys: tuple[tuple[bytes, Who], ...]

    @classmethod
    def of(  # noqa: PLR0913 - what a connection is made of
        cls,
        redactor: Redactor,
        clock: Clock,
        metrics: Metrics | None,
        transport: httpx.AsyncBaseTransport | None,
        connection: str,
        store: Store,
    ) -> Connection:
        """Raises SettingsFault for a mapping that cannot be used.

        `transport` stands in for the network to Stamped.io and iPaaS.com.
        """
        settings = store.settings
        stamped = StampedAccount(
            url=settings.stamped_api_url,
            public_key=settings.stamped_api_public_key.get_secret_value(),
            private_key=settings.stamped_api_private_key.get_secret_value(),
            store_hash=settings.stamped_api_store_hash,
            timeout_seconds=settings.stamped_timeout_seconds,
            connections=settings.stamped_concurrent_connections,
            subscribe_email_in=settings.stamped_subscribe_email_in,
        )
        ipaas = None
        if settings.ipaas_api_url and settings.ipaas_api_token:
            token = settings.ipaas_api_token.get_secret_value()
            ipaas = IpaasAccount(settings.ipaas_api_url, token, settings.ipaas_client_id)
        redactor.learn(*settings.webhook_keys)
        measured = metrics.of(connection) if metrics is not None else None
        kept_at = f"sandbox {clock.now():%Y-%m-%dT%H:%M:%S.%f}" if settings.sandbox_url else stamped.store_hash
        return cls(
            id=connection,
            name=store.name,
            scope=scopes_of(connection) + kept_at,
            stamped=StampedClient(stamped, redactor, transport, measured),
            ipaas=IpaasClient(ipaas, redactor, transport, measured) if ipaas else None,
            mapping=_mapping_of(settings),
            redactor=redactor,
            settings=settings,
            keys=digests_of(Key(Who("webhook", connection), secret) for secret in settings.webhook_keys),
        )

    def serves(self, destination: str | None) -> bool:
        """`default` serves every destination; any other its own, and what names none."""
        return destination is None or self.id in {DEFAULT, destination}

    async def aclose(self) -> None:
        """Close both clients. Idempotent."""
        await self.stamped.aclose()
        if self.ipaas is not None:
            await self.ipaas.aclose()


def scopes_of(connection: str) -> str:
    """How all begin that its transfers were ever kept under, whichever store it was."""
    return f"{connection}{_AT}"


def connection_id(scope: str) -> str:
    """The connection whose transfers are kept under this."""
    return scope.partition(_AT)[0]


class Connections:
    """All that are served now, in the order of the file. `make` builds one, and raises SettingsFault."""

    def __init__(self, settings: Settings, redactor: Redactor, make: Callable[[str, Store], Connection]) -> None:
        """Raises SettingsFault with every fault."""
        self.redactor = redactor
        self._settings = settings
        self._make = make
        self._served = self._read({})
        self._leaving: list[Connection] = []
        self._turn = -1
        self.fault: str | None = None

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._served.values())

    def __len__(self) -> int:
        return len(self._served)

    def get(self, connection: str) -> Connection | None:
        """By its id; None = it is not served."""
        return self._served.get(connection)

    def mine(self, connection: str) -> Connection:
        """The one whose key was shown a moment ago, also if it leaves just now. Raises LookupError."""
        every = [*self, *reversed(self._leaving)]
        found: Connection | None = next((each for each in every if each.id == connection), None)
        if found is None:
            raise LookupError(connection)
        return found

    def at(self, scope: str) -> Connection | None:
        """By what its transfers are kept under, also one that is leaving; None = it is not served any more."""
        return next((each for each in (*self, *self._leaving) if each.scope == scope), None)

    def of(self, scope: str) -> Connection:
        """The same, of what was begun here. Raises LookupError."""
        found = self.at(scope)
        if found is None:
            raise LookupError(scope)
        return found

    def fetches(self) -> dict[str, bool]:
        """By the scopes that are served: whether records come from iPaaS.com."""
        return {each.scope: each.ipaas is not None for each in self}

    def in_turn(self) -> list[str]:
        """The scopes that are served; each time another one comes first."""
        scopes = [each.scope for each in self]
        self._turn += 1
        first = self._turn % len(scopes)
        return scopes[first:] + scopes[:first]

    def only(self) -> Connection | None:
        """The one that is meant where none is named; None = there are several."""
        return next(iter(self)) if len(self) == 1 else None

    def keys(self) -> list[tuple[bytes, Who]]:
        """Of their webhooks; each opens its own."""
        return [key for each in self for key in each.keys]

    def reload(self) -> None:
        """Read the file again. A faulty one changes nothing, and is `fault`. What did not change stays as it is.

        What is served no more is `leaving`: attempts end with what they began with.
        """
        before = self._served
        try:
            self._served = self._read(before)
        except SettingsFault as fault:
            self.fault = " ".join(fault.lines)
            return
        except Exception as error:
            log.exception("reading the file of connections broke")
            self.fault = f"It cannot be read ({type(error).__name__})."
            return
        self.fault = None
        self._leaving += [each for each in before.values() if self._served.get(each.id) is not each]

    async def close(self, is_idle: Callable[[str], bool]) -> bool:
        """Close those that are leaving and have ended all they began; whether none is left."""
        for each in [each for each in self._leaving if is_idle(each.scope)]:
            self._leaving.remove(each)
            await each.aclose()
        return not self._leaving

    async def aclose(self) -> None:
        """Close all of them. Idempotent."""
        for each in (*self, *self._leaving):
            await each.aclose()

    def _read(self, before: dict[str, Connection]) -> dict[str, Connection]:
        served: dict[str, Connection] = {}
        faults: list[str] = []
        for connection, store in read_stores(self._settings).items():
            old = before.get(connection)
            same = old is not None and (old.name, old.settings) == (store.name, store.settings)
            if old is not None and same and store.settings.mapping_file is None:  # that may have changed in place
                served[connection] = old
                continue
            try:
                served[connection] = self._make(connection, store)
            except SettingsFault as fault:
                path = self._settings.connections_file
                where = f"CONNECTIONS_FILE {path}, [connections.{connection}] " if path else ""
                faults += [f"{where}{line}" for line in fault.lines]
        if faults:
            raise SettingsFault(faults)
        return served


def _mapping_of(settings: Settings) -> Mapping:
    """The built-in mapping, or that of MAPPING_FILE. Raises SettingsFault with line and column."""
    text: str | bytes = BUILT_IN
    source = "built-in mapping"
    if settings.mapping_file is not None:
        source = f"MAPPING_FILE {settings.mapping_file}"
        try:
            text = read_file(settings.mapping_file)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "this is no path"
            raise SettingsFault([f"{source} cannot be read: {why}; set the path of a mapping file."]) from None
    try:
        return load_mapping(text, subscription_field=settings.subscription_field, source=source)
    except MappingFault as fault:
        raise SettingsFault([str(fault)]) from None
