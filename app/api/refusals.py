"""Every way in which a call is refused by its key, its body, its ids, or the state of things."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from app.api.openapi import ANY_PROBLEM, Responses, either, refused
from app.api.problems import NOT_JSON, UNAVAILABLE, WRONG_SHAPE, Fault, ProblemError, Refusal
from app.error_catalog import Slug

NO_KEY: Final = Refusal("No key, or a wrong one.", Slug.UNAUTHORIZED, 401, sends={"WWW-Authenticate": "Bearer"})
OTHER_KEY: Final = Refusal("A key for something else.", Slug.FORBIDDEN, 403)
_NOT_ITS_OWN = "A notification has the destination of another connection; nothing was done."
OTHER_DESTINATION: Final = Refusal("Another destination.", Slug.FORBIDDEN, 403, _NOT_ITS_OWN)
TOO_LARGE: Final = Refusal("Over 1 MiB.", Slug.PAYLOAD_TOO_LARGE, 413, sends={"Connection": "close"})
OTHER_MEDIA_TYPE: Final = Refusal("Not plain JSON.", Slug.UNSUPPORTED_MEDIA_TYPE, 415)


def _no(what: str) -> Refusal:
    return Refusal(what, Slug.NOT_FOUND, 404, what)


NO_CUSTOMER_ID: Final = _no("This is no customer id.")
NO_TRANSFER: Final = _no("No transfer has this id.")
NO_CONNECTION: Final = _no("No connection that is served has this id.")
NO_GROUP: Final = _no("Nothing has failed like this, or it has been run again since.")
NO_SYNC: Final = _no("No sync has this id.")
NO_RECORD: Final = Refusal(
    "There is no record to send.",
    Slug.NOT_FOUND,
    404,
    "No record of this customer was received, and IPAAS_API_URL is not set, so none can be fetched. "
    "Send the record as the body, or set IPAAS_API_URL and IPAAS_API_TOKEN.",
)
NO_TARGET: Final = Refusal(
    "No target is set.",
    Slug.CONFLICT,
    409,
    "ALERT_URLS is not set, so alerts go nowhere. Set it to URLs of the library Apprise, then restart.",
)
NOT_RERUNNABLE: Final = Refusal(
    "It runs, or it has succeeded or was skipped.",
    Slug.CONFLICT,
    409,
    "This transfer is running. "
    "Only a failed, cancelled or waiting one runs again, and none of a connection that is not served.",
)
NOT_CANCELLABLE: Final = Refusal(
    "It has begun, or has ended.",
    Slug.CONFLICT,
    409,
    "This transfer is running. Only an accepted or waiting one can be cancelled.",
)
NOTHING_HELD: Final = Refusal(
    "Nothing of it waits for its first.",
    Slug.CONFLICT,
    409,
    "Nothing of this sync waits for its first transfer.",
)


def conflict(refusal: Refusal, status: str) -> ProblemError:
    """With the status that is in the way."""
    return ProblemError(refusal, refusal.hint.replace("running", status, 1))


OF_KEYS: Final = refused(NO_KEY, OTHER_KEY)
OF_HOOKS: Final = refused(NO_KEY, OTHER_KEY, OTHER_DESTINATION)
OF_OPERATORS: Final = either(OF_KEYS, ANY_PROBLEM, refused(UNAVAILABLE))
OF_BODIES: Final = refused(NOT_JSON, TOO_LARGE, OTHER_MEDIA_TYPE)


def wrong_shape(pointer: str, detail: str) -> Responses:
    """With an example of a fault."""
    return refused(replace(WRONG_SHAPE, errors=[Fault(pointer=pointer, detail=detail)]))
