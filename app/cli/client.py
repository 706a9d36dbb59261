"""The CLI's one way to a running service: where it is, the keys that open it, its answers and its problems."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from urllib.parse import quote

import httpx
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.keys import SANDBOX_OPERATOR_KEY, SANDBOX_WEBHOOK_KEY, read_key, split_keys
from app.loading import from_file
from app.setting_sources import ENV_FILE, given
from app.setting_values import Keys, Port, Secrets, Url, is_at_hand
from app.settings import SettingsFault

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from types import TracebackType

Door = Literal["operator", "webhook"]

PAGE: Final = 200  # the most that `GET /transfers` lists at once
_URL = "http://127.0.0.1:8080"
_KEY_NAMES: dict[Door, str] = {"operator": "OPERATOR_API_KEY", "webhook": "IPAAS_WEBHOOK_API_KEY"}
_SANDBOX_KEYS: dict[Door, str] = {"operator": SANDBOX_OPERATOR_KEY, "webhook": SANDBOX_WEBHOOK_KEY}
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 130.0  # a caller may ask to be kept waiting for 120
_OWN_TYPE = "about:blank"
_BAD_SETTINGS = "The settings are not usable"
_LOOK = "Ask `ipaas-stamped check` how it is."


class ServiceProblem(Exception):
    """What was asked of the service failed; `body` is the problem (RFC 9457), its own or one made up here."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body.get("title"))
        self.body = body

    @property
    def is_own(self) -> bool:
        """Whether it did not come from the service."""
        return bool(self.body.get("type") == _OWN_TYPE)


class Unreachable(ServiceProblem):
    """Nothing answers at the address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service; `body` is its JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    port: Port = 8080
    ipaas_stamped_url: Url | None = None
    operator_api_key: Keys | None = None
    viewer_api_key: Keys | None = None
    ipaas_webhook_api_key: Secrets | None = None

    @classmethod
    def read(cls) -> Self:
        """Raises ServiceProblem."""
        try:
            environment, in_file = given()
            keys = [from_file(name, in_file | environment) for name in cls.model_fields if name.endswith("_key")]
            values: dict[str, Any] = {name: value for each in keys for name, value in each.items()}
            return cls(**values)
        except SettingsFault as fault:
            reason = " ".join(fault.lines)
        except (ValidationError, UnicodeDecodeError) as error:
            reason = _reason(error)
        except OSError as error:
            reason = f".env cannot be read: {error.strerror}."
        raise ServiceProblem(_own_body(_BAD_SETTINGS, reason, "Correct that."))


class Service:
    """A running service, by its HTTP interface. Every method raises ServiceProblem."""

    def __init__(
        self, url: str, keys: Mapping[Door, str | None], transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.is_here = is_at_hand(url)
        self._keys = keys
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Accept": "application/json", "User-Agent": "ipaas-stamped-cli"},
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            transport=transport,
            trust_env=not self.is_here,  # no proxy stands between this machine and itself
        )

    @classmethod
    def of_environment(cls) -> Self:
        """From IPAAS_STAMPED_URL and the keys in the environment or `.env`."""
        found = _Environment.read()
        person, webhook = found.operator_api_key or found.viewer_api_key, found.ipaas_webhook_api_key
        keys: dict[Door, str | None] = dict.fromkeys(_KEY_NAMES)  # of several, the first
        if person is not None:
            keys["operator"] = read_key("operator", split_keys(person.get_secret_value())[0]).secret
        if webhook is not None:
            keys["webhook"] = split_keys(webhook.get_secret_value())[0]
        return cls(found.ipaas_stamped_url or f"http://127.0.0.1:{found.port}", keys, _transport())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """What an operator reads."""
        return self._exchange("GET", path, "operator", params=params).body

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """What an operator does."""
        return self._exchange("POST", path, "operator", body=body, headers=headers)

    def webhook(self, body: Any, headers: Mapping[str, str]) -> Answer:
        """What iPaaS.com sends."""
        return self._exchange("POST", "/webhooks/customers", "webhook", body=body, headers=headers)

    def ready(self) -> dict[str, Any]:
        """What `/readyz` says, whether it is ready or not."""
        also = {HTTPStatus.SERVICE_UNAVAILABLE}
        body = self._exchange("GET", "/readyz", None, accepted=also).body
        if not isinstance(body, dict) or not isinstance(body.get("checks"), list):
            raise ServiceProblem(self._stranger("an answer without checks"))
        return body

    def access(self, key: str) -> dict[str, Any] | None:
        """What this key opens there; None = nothing."""
        headers = {"Authorization": f"Bearer {key}"}
        answer = self._exchange("GET", "/access", None, headers=headers, accepted={HTTPStatus.UNAUTHORIZED})
        return None if answer.status == HTTPStatus.UNAUTHORIZED else answer.body

    def errors(self) -> list[dict[str, Any]]:
        """The catalogue of documented errors; open to all."""
        entries: list[dict[str, Any]] = self._exchange("GET", "/errors", None).body["errors"]
        return entries

    def transfers(
        self, params: Mapping[str, str | int], most: int | None, cursor: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Pages (`items`, `next`), newest first, with `most` items together; None = all there are."""
        while most is None or most > 0:
            size = PAGE if most is None else min(most, PAGE)
            more = {} if cursor is None else {"cursor": cursor}
            page: dict[str, Any] = self.get("/transfers", {**params, "limit": size, **more})
            yield page
            cursor = page["next"]
            if cursor is None:
                return
            most = None if most is None else most - len(page["items"])

    def stream(self, path: str, params: Mapping[str, str | int]) -> Iterator[bytes]:
        """What an operator reads that may be large, as it comes."""
        headers = {"Authorization": f"Bearer {self._key('operator')}", "Accept": "*/*"}
        with self._reaching(), self._http.stream("GET", path, params=params, headers=headers) as response:
            if not response.is_success or "Content-Disposition" not in response.headers:
                response.read()
                self._read(response, "operator", ())
                raise ServiceProblem(self._stranger("no file"))
            yield from response.iter_bytes()

    def _exchange(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        path: str,
        door: Door | None,
        *,
        body: Any = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        accepted: Collection[int] = (),
    ) -> Answer:
        sent = {**(headers or {})} | ({} if door is None else {"Authorization": f"Bearer {self._key(door)}"})
        with self._reaching():
            response = self._http.request(method, path, json=body, params=params, headers=sent)
        return self._read(response, door, accepted)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Unreachable(self._nobody()) from None
        except httpx.TimeoutException:
            message = f"{self.url} did not answer within {_ANSWER_SECONDS:.0f} s."
            raise ServiceProblem(_own_body("No answer in time", message, _LOOK)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = f"The connection to {self.url} broke ({type(error).__name__})."
            raise ServiceProblem(_own_body("No answer", message, _LOOK)) from None

    def _read(self, response: httpx.Response, door: Door | None, accepted: Collection[int]) -> Answer:
        try:
            body = response.json()
        except ValueError:
            kind = response.headers.get("content-type", "no media type").partition(";")[0]
            raise ServiceProblem(self._stranger(f"HTTP status {response.status_code}, {kind}")) from None
        if response.is_success or response.status_code in accepted:
            return Answer(response.status_code, body, response.headers)
        if not isinstance(body, dict) or "title" not in body or "detail" not in body:
            raise ServiceProblem(self._stranger(f"HTTP status {response.status_code}"))
        if response.status_code == HTTPStatus.UNAUTHORIZED and door is not None and not self._keys[door]:
            body["hint"] = f"{_KEY_NAMES[door]} is not set here, so the sandbox's key was sent."
        raise ServiceProblem(body)

    def _key(self, door: Door) -> str:
        key = self._keys[door]
        if key:
            return key
        if self.is_here:
            return _SANDBOX_KEYS[door]
        name = _KEY_NAMES[door]
        resolution = f"Set {name} in the environment or in .env to the key of that service."
        detail = f"{self.url} needs a key, and {name} is not set."
        raise ServiceProblem(_own_body("No key is set", detail, resolution))

    def _nobody(self) -> dict[str, Any]:
        resolution = "Start it with `ipaas-stamped serve`, or set IPAAS_STAMPED_URL to where it runs."
        return _own_body("No service answers", f"No service answers at {self.url}.", resolution)

    def _stranger(self, what: str) -> dict[str, Any]:
        detail = f"What answers at {self.url} is not this service ({what})."
        return _own_body("Not this service", detail, "Set IPAAS_STAMPED_URL to where it runs.")


def path_of(*parts: str) -> str:
    """The path of these; an id may have any characters."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _own_body(title: str, detail: str, resolution: str) -> dict[str, Any]:
    return {"type": _OWN_TYPE, "title": title, "detail": detail, "resolution": resolution}


def _reason(error: ValidationError | UnicodeDecodeError) -> str:
    """What is wrong with the environment, without any value."""
    if isinstance(error, UnicodeDecodeError):
        return ".env is not UTF-8."
    faults = {str(fault["loc"][0]).upper(): fault["msg"] for fault in error.errors(include_input=False)}
    if "IPAAS_STAMPED_URL" in faults:
        faults["IPAAS_STAMPED_URL"] = f"must be an address such as {_URL}, and nothing more"
    return " ".join(f"{name} is not usable: {reason}." for name, reason in faults.items())


def _transport() -> httpx.BaseTransport | None:
    """The network; tests put another one in its place."""
    return None
