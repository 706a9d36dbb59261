"""What became of one transfer, and what is to be done about it: a sentence or two for this very case. Pure.

Nothing in it is clearer than the stored error, whose text is redacted. Times in it are `times.in_sentence`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from app.attempt import NO_CONSENT
from app.error_catalog import CATALOG, Slug, said
from app.ledger.retry_schedule import MAX_TRIES, tries_ahead
from app.outbound.calls import WRITES, cut
from app.outbound.status_table import Kind
from app.times import in_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.attempt import Failure
    from app.ledger.stored import Attempt, Stored
    from app.ledger.trail import Deed

_MESSAGE_LIMIT: Final = 120
_ORIGINS: Final = {
    "manual": "Manual Sync: ",
    "sync": "Manual Sync of several: ",
    "verify": "Looked after by the service itself, as a call had no answer: ",
}
_SUBSCRIPTIONS: Final = {
    "subscribed": " and subscribed.",
    "unsubscribed": " and unsubscribed.",
    "unchanged": "; the subscription was already as it should be.",
}
_WHEN: Final = {
    "create": "the customer was to be created",
    "update": "the customer was to be updated",
    "read": "the customer was to be read",
    "find": "the customer was to be found by e-mail",
    "subscribe": "the customer was to be subscribed",
    "unsubscribe": "the customer was to be unsubscribed",
    "load": "the record was to be loaded",
    "look up the external ID": "the external ID was to be looked up",
}
_OF_DATA: Final = ("refused the customer's data", "")
_LOOK: Final = "Look at the customer in iPaaS.com, then re-run."
_REFUSALS: Final = {  # by system, kind, and whether it answered 404
    ("Stamped.io", Kind.DENIED, False): ("refused the key", "Mend the keys, then re-run."),
    ("Stamped.io", Kind.DENIED, True): ("does not know the store", "Check store hash and address, then re-run."),
    ("iPaaS.com", Kind.DENIED, False): ("refused the token", "Set a valid IPAAS_API_TOKEN, then re-run."),
    ("iPaaS.com", Kind.REFUSED, True): ("does not know the customer", _LOOK),
    ("iPaaS.com", Kind.REFUSED, False): ("did not give the record", _LOOK),
}


def sentence(transfer: Stored, attempts: Sequence[Attempt], deeds: Sequence[Deed], *, unit_seconds: float) -> str:
    """`unit_seconds`: RETRY_UNIT_SECONDS. `deeds`: its trail."""
    failure = transfer.documented_failure()
    failed = _Failed(transfer, failure, attempts) if failure else None
    match transfer.status:
        case "succeeded":
            said = _succeeded(transfer)
        case "skipped":
            said = _skipped(transfer)
        case "cancelled":
            said = _cancelled(transfer, deeds)
        case "failed":
            said = f"{failed.what} {failed.advice}" if failed else "Failed."
        case "waiting":
            said = _then(failed.what if failed else "", _waiting(transfer, unit_seconds))
        case "running":
            said = _then(_running(transfer), f"Last attempt: {failed.what}" if failed else "")
        case _:
            said = _then(_accepted(transfer, attempts), f"Last attempt: {failed.what}" if failed else "")
    return _ORIGINS.get(transfer.trigger, "") + said


def subscription_left(transfer: Stored) -> str:
    """Why a subscription was left as it is: nobody asks for consent, or this record has none."""
    return "the record carries no consent" if NO_CONSENT in (transfer.reason or "") else "consent is not mapped"


def without_no_consent(transfer: Stored) -> str:
    """What else was noted of it."""
    return (transfer.reason or "").replace(NO_CONSENT, "").strip()


def short_of(failure: Failure) -> str:
    """Why it failed, without the sentence that all with this error begin with."""
    short = said(failure.slug, failure.detail)
    return "" if short == CATALOG[failure.slug].sentence else short


def _succeeded(transfer: Stored) -> str:
    notes = without_no_consent(transfer)
    if transfer.action is None:
        return notes or "Done; nothing differed."
    left = f"; {subscription_left(transfer)}, so the subscription was left as it is."
    done = f"{transfer.action.capitalize()} at Stamped.io as customer {transfer.external_id}"
    done += _SUBSCRIPTIONS.get(transfer.subscription or "", left if transfer.subscription else ".")
    took = f"It took {transfer.attempts} attempts." if transfer.attempts > 1 else ""
    return _then(done, notes, took)


def _skipped(transfer: Stored) -> str:
    if transfer.superseded_by:
        return f"Superseded by transfer {transfer.superseded_by}, with a newer record of the same customer."
    return _as_sentence(transfer.reason or "skipped")


def _cancelled(transfer: Stored, deeds: Sequence[Deed]) -> str:
    deed = next((each for each in reversed(deeds) if each.what in {"cancelled", "sync cancelled"}), None)
    by = f"by {deed.who} at {in_sentence(deed.at)}" if deed else "by hand"
    made = transfer.attempts
    before = f"after {made} attempt{'s' if made > 1 else ''}" if made else "before anything was sent"
    return f"Cancelled {by}, {before}. It can be re-run."


def _waiting(transfer: Stored, unit_seconds: float) -> str:
    if transfer.pause:
        return transfer.pause.sentence
    ahead = tries_ahead(transfer.tries, transfer.next_attempt_at or 0.0, unit_seconds)
    if not ahead or not transfer.next_attempt_at:
        return "It runs again by itself."
    (number, at), (last, end) = ahead[0], ahead[-1]
    waits = f"Waits for try {number} of {MAX_TRIES} at {in_sentence(at)}"
    if number == last:
        return f"{waits}, the last one."
    return f"{waits}; gives up if try {last} fails, too, at about {in_sentence(end)}."


def _running(transfer: Stored) -> str:
    since = f" since {in_sentence(transfer.started_at)}" if transfer.started_at else ""
    return f"Attempt {transfer.attempts} is under way{since}."


def _accepted(transfer: Stored, attempts: Sequence[Attempt]) -> str:
    if transfer.pause:
        return f"{transfer.pause.sentence} It goes on by itself, and no try is used up."
    soon = "an attempt begins as soon as there is room."
    if attempts and attempts[-1].outcome == "interrupted":
        return f"The last attempt was interrupted; {soon}"
    return f"Stored; {soon}"


class _Failed:
    """One failure in words. What it says of Stamped.io comes from the error, of iPaaS.com from the last call."""

    def __init__(self, transfer: Stored, failure: Failure, attempts: Sequence[Attempt]) -> None:
        self._transfer, self._failure = transfer, failure
        self._system = "Stamped.io"
        said = failure.stamped
        self._operation, self._status, self._message = said.operation, said.status, said.message
        calls = attempts[-1].calls if attempts and failure.slug is Slug.NOT_LOADED else []
        call = next((each for each in reversed(calls) if each.system == "ipaas" and each.outcome != "ok"), None)
        if call is not None:
            self._system = "iPaaS.com"
            self._operation, self._status, self._message = call.operation, call.status, call.message
        kinds = {(kind.status, kind.retryable): kind for kind in Kind}
        self._kind = kinds.get((failure.status, failure.retryable), Kind.UNAVAILABLE)

    @property
    def what(self) -> str:
        """What happened, and what is saved."""
        if self._failure.slug is Slug.INTERNAL_ERROR:
            return self._failure.detail
        if self._operation is None:
            return self._found_without_asking()
        when = f" when {_WHEN[self._operation]}" if self._operation in _WHEN else ""
        return f"{self._who()}{self._answer()}{when}; {self._saved()}."

    @property
    def advice(self) -> str:
        """What to do about it."""
        failure = self._failure
        if failure.slug is Slug.INTERNAL_ERROR:
            return "Re-run it; if it fails again, tell whoever runs this."
        if failure.retryable:
            gave_up = self._transfer.promised and self._transfer.tries >= MAX_TRIES
            gone = f"The service gave up after {MAX_TRIES} tries: re" if gave_up else "That may pass by itself: re"
            return f"{gone}-run it when {self._system} is well again."
        if self._operation is None and failure.slug is Slug.NOT_LOADED:
            return "Set IPAAS_API_URL and IPAAS_API_TOKEN, or send the record along."
        mended = "then re-run" if self._transfer.fetched else "which then sends it anew"
        return self._refusal[1] or f"Mend the record in iPaaS.com, {mended}."

    def _found_without_asking(self) -> str:
        why = _lower(short_of(self._failure)) or "no reason is known."
        if self._failure.slug is not Slug.SUBSCRIPTION:
            return f"Nothing was sent to Stamped.io: {why}"
        done = self._transfer.subscription
        so_far = f"{done} for what was said before" if done in _SUBSCRIPTIONS else "its subscription as before"
        return f"Saved as customer {self._transfer.external_id}, {so_far}: {why}"

    @property
    def _refusal(self) -> tuple[str, str]:
        """In words, and what mends it; nothing for what only other data mend."""
        return _REFUSALS.get((self._system, self._kind, self._status == HTTPStatus.NOT_FOUND), _OF_DATA)

    def _who(self) -> str:
        if not self._kind.retryable:
            return f"{self._system} {self._refusal[0]}"
        if self._kind is Kind.TIMEOUT:
            return f"{self._system} gave no answer in time"
        if self._status is None:
            return f"{self._system} could not be reached"
        is_fault = self._status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return f"{self._system} {'failed' if is_fault else 'gave an answer that makes no sense'}"

    def _answer(self) -> str:
        message = cut(self._message, _MESSAGE_LIMIT).rstrip(". ") if self._message else ""
        if self._kind in {Kind.DENIED, Kind.TIMEOUT}:  # the same each time, and told in full below
            message = ""
        parts = [f"HTTP status {self._status}" if self._status else "", message]
        told = ": ".join(filter(None, parts))
        return f" ({told})" if told else ""

    def _saved(self) -> str:
        saved, slug = self._transfer.external_id, self._failure.slug
        if slug is Slug.NOT_LOADED:
            return "nothing was sent to Stamped.io"
        if slug is Slug.SUBSCRIPTION:
            return f"it is saved as customer {saved}, but its subscription is not as it should be"
        is_certain = self._kind in {Kind.DENIED, Kind.REFUSED} or self._operation not in WRITES
        if saved:
            return f"customer {saved} stays as it was" if is_certain else f"customer {saved} may stay as it was"
        return "nothing was saved" if is_certain else "nothing is known to be saved"


def _then(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _lower(text: str) -> str:
    """To go on with after a colon."""
    return text[:1].lower() + text[1:]


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
