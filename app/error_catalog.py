"""The one catalogue of errors: what a user sees, searches for and is told to do.

The first two entries are iPaaS.com's documented error messages of its Stamped.io integration, word for word.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field


class Slug(StrEnum):
    """The last part of a problem's `type`."""

    CUSTOMER = "customer-create-or-update-failed"
    SUBSCRIPTION = "subscribe-or-unsubscribe-failed"
    NOT_LOADED = "customer-not-loaded"
    INVALID_REQUEST = "invalid-request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CONFLICT = "conflict"
    PAYLOAD_TOO_LARGE = "payload-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    SERVICE_UNAVAILABLE = "service-unavailable"
    INTERNAL_ERROR = "internal-error"

    @property
    def type(self) -> str:
        """The problem type of RFC 9457; a page about it answers there."""
        return f"/errors/{self.value}"


class Entry(BaseModel):
    """One documented error. `sentence` opens every detail; `message` is the documentation's own wording."""

    model_config = ConfigDict(frozen=True)

    slug: Slug
    type: str = Field(examples=[Slug.SUBSCRIPTION.type])
    title: str
    statuses: tuple[int, ...]
    sentence: str = Field(description="What every `detail` of it begins with")
    message: str
    description: str
    resolution: str


def _entry(slug: Slug, *, sentence: str, documented: str = "", **words: Any) -> Entry:
    """`documented`: the message sentence in full, where it says more."""
    return Entry(slug=slug, type=slug.type, sentence=sentence, message=documented or sentence, **words)


_ENTRIES = (
    _entry(
        Slug.CUSTOMER,
        title="Customer create or update failed",
        statuses=(502, 422, 503, 504),
        sentence="An error occurred while sending the customer to Stamped.io.",
        documented=(
            "An error occurred while sending the customer to Stamped.io, including the HTTP status code and "
            "the message returned by Stamped.io."
        ),
        description=(
            "The integration called Stamped.io to create or update the customer and Stamped.io returned an "
            "error response. Common causes are invalid or expired credentials, an incorrect store identifier, "
            "a malformed or rejected value on the customer, or Stamped.io being temporarily unavailable."
        ),
        resolution=(
            "Confirm the Stamped.io credentials and store identifier on the subscription are correct and "
            "active. Review the customer's mapped values (in particular the email address) for anything "
            "Stamped.io would reject. Re-run the transfer from the Manual Sync page. If the error persists and "
            "the cause is not a credential or data issue, contact iPaaS.com Support."
        ),
    ),
    _entry(
        Slug.SUBSCRIPTION,
        title="Subscribe or unsubscribe failed",
        statuses=(502, 422, 503, 504),
        sentence="An error occurred running the call to subscribe/unsubscribe.",
        description=(
            "After creating or updating the customer, the integration made a follow-up call to set the "
            "customer's survey and review-email subscription state, and Stamped.io returned an error (the "
            "status code and Stamped.io's message are included in the logged error). This step runs only when "
            "the subscription field is mapped and the desired state differs from the customer's current state "
            "in Stamped.io."
        ),
        resolution=(
            "Confirm the customer has a valid email address mapped, since the subscribe and unsubscribe "
            "operations identify the customer by email. Confirm the Stamped.io credentials are active, then "
            "re-run the transfer. If the error continues, contact iPaaS.com Support."
        ),
    ),
    _entry(
        Slug.NOT_LOADED,
        title="Customer could not be loaded from iPaaS.com",
        statuses=(502, 422, 503, 504),
        sentence="The customer could not be loaded from iPaaS.com, so nothing was sent to Stamped.io.",
        description=(
            "The notification named a customer without carrying its record, and reading the record, or its "
            "external ID, from iPaaS.com failed. Common causes are an expired iPaaS.com token, a wrong "
            "IPAAS_API_URL, a customer that no longer exists, or iPaaS.com being temporarily unavailable."
        ),
        resolution=(
            "Confirm that IPAAS_API_URL and IPAAS_API_TOKEN are set and active, and that the customer exists "
            "in iPaaS.com. Then re-run the transfer, or send the record along with the notification."
        ),
    ),
    _entry(
        Slug.INVALID_REQUEST,
        title="The request could not be understood",
        statuses=(400, 408, 414, 422, 431),
        sentence="The request could not be understood.",
        description=(
            "The body is not JSON, or it is neither an iPaaS.com notification envelope nor a customer record; "
            "or what comes around the body is no HTTP, too large, or too slow."
        ),
        resolution="Correct what `errors` points at and send the request again.",
    ),
    _entry(
        Slug.UNAUTHORIZED,
        title="The key is missing or not valid",
        statuses=(401,),
        sentence="The request carries no valid key.",
        description="Every call but the open ones needs a key as `Authorization: Bearer <key>`.",
        resolution=(
            "Webhooks need a key of IPAAS_WEBHOOK_API_KEY, operators' calls need OPERATOR_API_KEY. In "
            "iPaaS.com, compare the Webhook API Key of the subscription with the one set here."
        ),
    ),
    _entry(
        Slug.FORBIDDEN,
        title="The key does not open this",
        statuses=(403,),
        sentence="The key is valid, but it is not meant for this call.",
        description="A webhook key posts webhooks of its own connection; the operator key does the rest.",
        resolution="Use the key that belongs to this call.",
    ),
    _entry(
        Slug.NOT_FOUND,
        title="Not found",
        statuses=(404,),
        sentence="What was asked for is not here.",
        description="The path, or the id in it, is not known here.",
        resolution="Check the address and the id in it. `/docs` lists every call.",
    ),
    _entry(
        Slug.METHOD_NOT_ALLOWED,
        title="Method not allowed",
        statuses=(405,),
        sentence="This address does not answer that method.",
        description="The path exists, but not for the HTTP method that was used.",
        resolution="Use one of the methods in the `Allow` header.",
    ),
    _entry(
        Slug.CONFLICT,
        title="Not possible in the present state",
        statuses=(409,),
        sentence="That is not possible in the present state.",
        description="What was asked for makes no sense for a transfer in the state that this one is in.",
        resolution="Look at the transfer's status, then decide again.",
    ),
    _entry(
        Slug.PAYLOAD_TOO_LARGE,
        title="The body is too large",
        statuses=(413,),
        sentence="The body is larger than 1 MiB.",
        description="A request body may have up to 1 MiB (1,048,576 bytes).",
        resolution="Send the notifications in several requests.",
    ),
    _entry(
        Slug.UNSUPPORTED_MEDIA_TYPE,
        title="The body is not plain JSON",
        statuses=(415,),
        sentence="The body must be sent as application/json, without a Content-Encoding.",
        description="Bodies of another media type, and compressed ones, are not read.",
        resolution="Send `Content-Type: application/json` and an uncompressed body.",
    ),
    _entry(
        Slug.SERVICE_UNAVAILABLE,
        title="The service takes no transfers at the moment",
        statuses=(503,),
        sentence="The service takes no new transfers at the moment.",
        description="It is starting, stopping, or cut off from what it needs to keep a transfer safe.",
        resolution="Send the request again after the seconds in `Retry-After`.",
    ),
    _entry(
        Slug.INTERNAL_ERROR,
        title="Internal error",
        statuses=(500,),
        sentence="Something went wrong inside the bridge.",
        description="A fault in this product, not in the request. It was logged, a transfer by its tracking GUID.",
        resolution=(
            "Send the request again; if it fails again, tell whoever runs this when it was, "
            "and the tracking GUID of a transfer."
        ),
    ),
)

CATALOG: dict[Slug, Entry] = {entry.slug: entry for entry in _ENTRIES}

# beside the documented resolution: about webhooks that are refused, for who looks after both sides
_REMEDIES: Final = {
    Slug.UNAUTHORIZED: (
        "Two keys have to be the same: the Webhook API Key of the subscription in iPaaS.com, and one of "
        "`IPAAS_WEBHOOK_API_KEY` here. If the caller is iPaaS.com, copy the one to the other; if nobody knows the "
        "caller, somebody is guessing, and nothing is to be done."
    ),
    Slug.FORBIDDEN: (
        "The key is known, but not for this: a webhook needs a key of `IPAAS_WEBHOOK_API_KEY`, no operator's or "
        "viewer's; and where there are several connections, the key of the one that its `destination` names."
    ),
    Slug.PAYLOAD_TOO_LARGE: (
        "One request may have up to 1 MiB and 100 notifications. Let iPaaS.com send smaller batches, or no "
        "records: with `IPAAS_API_URL` they are fetched."
    ),
    Slug.INVALID_REQUEST: (
        "The body is no envelope of iPaaS.com and no customer record, or a value in it is none; the reason names "
        "the place. Correct what sends it: the same body is refused again."
    ),
}


def remedy(error: str) -> str:
    """Of a refusal; the documented resolution, where there is nothing better. Backticks around what is code."""
    if error not in set(Slug):
        return ""
    slug = Slug(error)
    return _REMEDIES.get(slug, CATALOG[slug].resolution)


def said(slug: str | None, detail: str | None) -> str:
    """A detail on one line without the sentence that all of this error begin with; that one, if it is all."""
    sentence = CATALOG[Slug(slug)].sentence if slug in set(Slug) else ""
    return " ".join((detail or "").removeprefix(sentence).split()) or sentence
