"""The page of one transfer over HTTP: its sentence, what was sent beside what was before, and how to copy it."""

from __future__ import annotations

import re

from tests.conftest import BridgeFactory
from tests.monitoring.support import REFUSED, Pages, signed_in, text_of
from tests.monitoring.test_viewer import KEYS, PERSON, as_viewer
from tests.support import EMAIL, OPERATOR_KEY, Wire, reply, with_consent

NEWER = "11111111-0d44-4b50-8888-8dd25736052a"
BEFORE = "Marigold"


async def two(pages: Pages, consent: str = "no") -> tuple[str, str]:
    """Of the same customer, the second with another first name and consent."""
    first = await pages.webhook(customer=with_consent("yes", first_name=BEFORE))
    second = await pages.webhook(customer=with_consent(consent), tracking_guid=NEWER)
    return first, second


def rows_of(html: str) -> dict[str, list[str]]:
    """Of what was sent: by field what it was, is, and how it changed."""
    table = re.search(r'<table class="cards compared">.*?</table>', html, re.DOTALL)
    assert table
    rows = [re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row) for row in table[0].split("<tr ")[1:]]
    return {row[0]: row[1:] for row in rows}


async def test_what_was_sent_stands_beside_what_was_sent_before(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, subscription_field="Consent", **KEYS) as pages:
        first, second = await two(pages)
        masked = (await pages.get(second)).text
        alone = text_of((await pages.get(first)).text)
        shown = (await pages.post(f"{second}/record")).text
        await as_viewer(pages)
        viewers = (await pages.get(second)).text
        assert (
            await pages.post(f"{second}/record", form_token=await pages.token("/monitoring"))
        ).status_code == 403
    for html in (masked, viewers):
        assert not [name for name in (*PERSON, BEFORE) if name in html]
        assert rows_of(html)["firstName"] == ["…", "…", "changed"]
        assert rows_of(html)["Consent"] == ["yes", "no", "changed"]
    assert rows_of(shown)["firstName"] == [BEFORE, "Annabell", "changed"]
    assert rows_of(shown)["email"] == [EMAIL, EMAIL, "unchanged"]
    assert "Nothing was sent for this customer before" in alone
    assert f'href="{first}" rel="prev"' in masked
    assert f'href="{first}">was sent last</a>' in masked


async def test_a_consent_that_cannot_be_read_is_shown_as_in_the_error(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, subscription_field="Consent") as pages:
        _, path = await two(pages, consent=f"maybe {EMAIL}")
        html = (await pages.get(path)).text
        shown = (await pages.post(f"{path}/record")).text
    assert "Saved as customer 143491, its subscription as before: the consent value" in html
    assert "maybe a…@example.com" in html
    assert EMAIL not in html
    assert rows_of(html)["Consent"] == ["yes", "cannot be read", "changed"]
    assert EMAIL in rows_of(shown)["Consent"][1]


async def test_a_missing_consent_is_not_called_unmapped(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, subscription_field="Consent") as pages:
        path = await pages.webhook()
        found = text_of((await pages.get(path)).text)
        listed = text_of((await pages.get("/monitoring/transfers")).text)
    assert "the record carries no consent, so the subscription was left as it is." in found
    assert "the record carries no consent" in listed
    assert "not mapped" not in found + listed


async def test_program_and_page_are_told_the_same_sentence(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, Wire(add=REFUSED)) as pages:
        path = await pages.webhook()
        page = text_of((await pages.get(path)).text)
        headers = {"Authorization": f"Bearer {OPERATOR_KEY}"}
        told = await pages.client.get(path.removeprefix("/monitoring"), headers=headers)
    assert told.json()["sentence"] == (
        "Stamped.io refused the key (HTTP status 401) when the customer was to be created; nothing was saved. "
        "Mend the keys, then re-run."
    )
    assert told.json()["sentence"] in page


async def test_an_old_error_is_not_told_as_if_it_were_of_now(bridge: BridgeFactory) -> None:
    failing = reply(503, {"message": "Busy"})
    async with signed_in(bridge, Wire(add=failing), **KEYS) as pages:
        answer = await pages.client.post(
            "/webhooks/customers", json=with_consent("yes"), headers={"Prefer": "respond-async"}
        )
        path = f"/monitoring{answer.headers['Location']}"
        for _ in range(500):
            found = text_of((await pages.get(path)).text)
            if "Waiting" in found:
                break
    assert "Last attempt: Customer create or update failed" in found


async def test_it_is_copied_as_link_curl_and_command(bridge: BridgeFactory) -> None:
    async with signed_in(bridge, **KEYS) as pages:
        path = await pages.webhook()
        found = (await pages.get(path)).text
        await as_viewer(pages)
        viewers = (await pages.get(path)).text
    transfer = path.rsplit("/", 1)[1]
    call = f"http://bridge.test/transfers/{transfer}"
    for line in (
        f"http://bridge.test{path}",
        f"curl {call} -H &#34;Authorization: Bearer $OPERATOR_API_KEY&#34;",
        f"curl -X POST {call}/retry -H &#34;Authorization: Bearer $OPERATOR_API_KEY&#34;",
        f"ipaas-stamped show {transfer}",
        f"ipaas-stamped retry {transfer}",
    ):
        assert f">{line}</pre>" in found, line
    assert "$VIEWER_API_KEY" in viewers
    assert "retry" not in viewers
