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
from app.monitoring.ranges import WINDOWS, address, written
from app.monitoring.rows import became, in_full
from app.monitoring.sessions import COOKIE
from app.privacy import masked_id
from app.sentence import subscription_left
from app.times import IN_HEADLINES, IN_SENTENCES, duration, in_sentence, moment, read_time

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
# of every page, in this order
SHEETS: Final = ("monitoring.css", "verdict.css", "chart.css", "list.css", "errors.css", "transfer.css")
SCRIPTS: Final = ("htmx.min.js", "contact.js", "times.js", "copy.js", "select.js")  # of who is signed in

NAVIGATION: Final = (
    ("/monitoring", "Monitoring"),
    ("/monitoring/transfers", "Transfers"),
    ("/monitoring/errors", "Error Logs"),
    ("/monitoring/syncs", "Manual Sync"),
    ("/monitoring/rejections", "Rejections"),
    ("/monitoring/connections", "Connections"),
    ("/monitoring/settings", "Settings"),
)

_DAY: Final = 86_400  # seconds


class Pages:
    """Renders a page for whoever is signed in, if anybody is. `sandbox`: say that nothing reaches a store.

    `example_key`: what opens the webhook there, if it is an example of this project.
    """

    def __init__(
        self,
        sessions: Sessions,
        connections: Iterable[Connection],
        *,
        sandbox: bool,
        example_key: str | None = None,
    ) -> None:
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
            "in_utc": in_sentence,
            "when": when,
            "timed": timed,
            "clocked": clocked,
            "duration": duration,
            "slot_name": slot_name,
            "written": written,
            "count": count,
            "error_title": error_title,
            "coded": coded,
            "connection_id": connection_id,
            "masked": masked_id,
            "subscription_left": subscription_left,
            "became": became,
            "in_full": in_full,
        }
        self._environment.globals |= {"sandbox": sandbox, "navigation": NAVIGATION, "static": static_url}
        self._environment.globals |= {"example_key": example_key}
        self._environment.globals |= {"sheets": SHEETS, "scripts": SCRIPTS}
        self._environment.globals |= {"address": address, "window_name": window_name}

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


def slot_name(begins: float, ends: float) -> str:
    """A time from one whole hour to another, for people, in UTC: with the end's date where that is another."""
    first, last = (datetime.fromtimestamp(each, UTC) for each in (begins, ends))
    if ends - begins == _DAY and not first.hour:
        return f"{first:%Y-%m-%d}"
    same = first.date() == last.date() or (ends - begins < _DAY and not last.hour)
    return f"{first:%Y-%m-%d %H:%M} to {f'{last:%H:%M}' if same else f'{last:%Y-%m-%d %H:%M}'} UTC"


def timed(text: str) -> Markup:
    """A sentence; the times in it are shown as all others are."""
    made, end = Markup(""), 0
    for found in IN_SENTENCES.finditer(text):
        at = read_time(found[1])
        time = Markup('<time datetime="{}" title="{}">{}</time>').format(moment(at), found[0], when(at))
        made, end = made + text[end : found.start()] + time, found.end()
    return made + text[end:]


def clocked(text: str, now: float) -> Markup:
    """The same of a headline: times without their day are of the day of `now`, in UTC."""
    made, end = Markup(""), 0
    for found in IN_HEADLINES.finditer(text):
        at = read_time(f"{found[1] or f'{datetime.fromtimestamp(now, UTC):%Y-%m-%d}'} {found[2]}")
        clock = Markup('<time class="clock" datetime="{}" title="{}">{}</time>')
        clock = clock.format(moment(at), in_sentence(at), found[0])
        made, end = made + text[end : found.start()] + clock, found.end()
    return made + text[end:]


def count(number: int) -> str:
    """With a comma at the thousands."""
    return f"{number:,}"


def window_name(last: str) -> str:
    """`24 hours`, after "the last"."""
    return WINDOWS[last][0]


def error_title(slug: str) -> str:
    """The documented title of an error; the slug itself for one of another version."""
    return CATALOG[Slug(slug)].title if slug in set(Slug) else slug


def coded(text: str) -> Markup:
    """A sentence of the catalogue; what stands between backticks is code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part
        for position, part in enumerate(text.split("`"))
    )
