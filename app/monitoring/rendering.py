"""Templates, and how times, durations and numbers are written."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.connections import connection_id
from app.error_catalog import CATALOG, Slug
from app.monitoring.sessions import COOKIE
from app.privacy import masked_id
from app.times import moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from app.connections import Connection
    from app.monitoring.sessions import Session, Sessions

_HERE = Path(__file__).parent
_SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC: Final = {
    path.name: (path.read_bytes(), _TYPES[path.suffix])
    for path in (
        *(_HERE / "static").iterdir(),
        _SWAGGER_UI / "swagger-ui-bundle.js",
        _SWAGGER_UI / "swagger-ui.css",
    )
    if path.suffix in _TYPES
}
_VERSION = sha256(b"".join(content for _, (content, _type) in sorted(STATIC.items()))).hexdigest()[:12]

NAVIGATION: Final = (
    ("/monitoring", "Monitoring"),
    ("/monitoring/transfers", "Transfers"),
    ("/monitoring/errors", "Error Logs"),
    ("/monitoring/syncs", "Manual Sync"),
    ("/monitoring/rejections", "Rejections"),
    ("/monitoring/connections", "Connections"),
    ("/monitoring/settings", "Settings"),
)
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class Pages:
    """Renders a page for whoever is signed in, if anybody is. `sandbox`: say that nothing reaches a store."""

    def __init__(self, sessions: Sessions, connections: Iterable[Connection], *, sandbox: bool) -> None:
        self._sessions = sessions
        self._connections = connections
        self._environment = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._environment.filters |= {
            "moment": moment,
            "when": when,
            "duration": duration,
            "count": count,
            "error_title": error_title,
            "coded": coded,
            "connection_id": connection_id,
            "masked": masked_id,
        }
        self._environment.globals |= {"sandbox": sandbox, "navigation": NAVIGATION, "static": static_url}

    def show(self, request: Request, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
        """The page; forms in it carry the session's token."""
        known: Session | None = getattr(request.state, "session", None)
        session = known or self._sessions.read(request.cookies.get(COOKIE, ""))
        values |= {"path": request.url.path, "form_token": session.form_token if session else None}
        values |= {"connections": list(self._connections), "shown_of": request.query_params.get("connection", "")}
        values |= {"who": session.who if session else None, "acts": session is not None and session.who.acts}
        return HTMLResponse(self._environment.get_template(template).render(**values), status)


def static_url(name: str) -> str:
    """Changes with the content, so that browsers may keep it."""
    return f"/monitoring/static/{name}?v={_VERSION}"


def when(seconds: float) -> str:
    """A time for people, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"


def duration(seconds: float) -> str:
    """`38 ms`, `4.1 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = max(seconds, 0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, small_unit in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def count(number: int) -> str:
    """With a comma at the thousands."""
    return f"{number:,}"


def error_title(slug: str) -> str:
    """The documented title of an error; the slug itself for one of another version."""
    return CATALOG[Slug(slug)].title if slug in set(Slug) else slug


def coded(text: str) -> Markup:
    """A sentence of the catalogue; what stands between backticks is code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part
        for position, part in enumerate(text.split("`"))
    )
