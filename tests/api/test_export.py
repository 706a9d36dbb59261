"""Transfers as a file: what is in it, how it is written, and that no reader waits for it."""

from __future__ import annotations

import csv
import io

import pytest

from app.api import export
from app.ledger.reports import Filter
from tests.api.operating import Operator, failed, person
from tests.conftest import BridgeFactory
from tests.support import EMAIL, RECORD, VIEWER_KEY, WEBHOOK, WEBHOOK_KEY, FakeClock, Wire, envelope, reply

NOT_VALID = reply(422, {"message": "=HYPERLINK(1) is not valid."})
FILE, REVEAL = "/transfers/export", "/transfers/reveal"
PERSON = ("person1@example.com", RECORD["first_name"], RECORD["last_name"])


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def test_all_that_a_filter_finds(bridge: BridgeFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_ROWS", 2)
    async with bridge(Wire(add=[NOT_VALID] * 5), clock=FakeClock()) as client:
        operator = Operator(client)
        ids = await failed(client, 1, 2, 3, 4, 5)
        for query, expected in (
            ({}, ids[::-1]),
            ({"status": "failed", "since": "2026-11-24T00:00Z"}, ids[::-1]),
            ({"status": "succeeded"}, []),
            ({"customer_id": "3"}, [ids[2]]),
            ({"words": "not VALID"}, ids[::-1]),
            ({"limit": "3"}, ids[:1:-1]),
            ({"limit": "4"}, ids[:0:-1]),
            ({"limit": "1", "cursor": "3"}, [ids[1]]),
        ):
            answer = await operator.call("GET", FILE, params=query)
            assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
            assert [each["transfer_id"] for each in lines(answer.text)] == expected, query
            written = await operator.get(FILE, format="json", **query)
            assert [each["transfer_id"] for each in written] == expected, query
        listed = (await operator.get("/transfers"))["items"]
        assert await operator.get(FILE, format="json") == listed
        header = (await operator.call("GET", FILE)).text.splitlines()[0]
        assert header.split(",") == list(listed[0])


async def test_whom_it_is_about_is_told_to_operators_who_ask(bridge: BridgeFactory) -> None:
    async with bridge(Wire(), operator_api_key=f"ada:{WEBHOOK_KEY[::-1]}", viewer_api_key=VIEWER_KEY) as client:
        operator, viewer = Operator(client, WEBHOOK_KEY[::-1]), Operator(client, VIEWER_KEY)
        await client.post(WEBHOOK, json=envelope(person(1)))
        for key in (operator, viewer):
            for written in ("csv", "json"):
                text = (await key.call("GET", FILE, params={"format": written})).text
                assert not any(each in text for each in PERSON)
        answer = await operator.post(REVEAL, {"status": "succeeded"})
        (line,) = lines(answer.text)
        assert (line["email"], line["first_name"], line["last_name"]) == PERSON
        (item,) = (await operator.post(REVEAL, {"format": "json", "transfer_ids": [line["transfer_id"]]})).json()
        assert (item["email"], item["transfer_id"]) == (PERSON[0], line["transfer_id"])
        assert (await viewer.post(REVEAL, {})).status_code == 403
        assert (await operator.post(REVEAL, {"status": "gone"})).status_code == 422
        assert (await operator.call("GET", FILE, params={"format": "xml"})).status_code == 422


async def test_an_id_that_is_an_address_is_masked(bridge: BridgeFactory) -> None:
    async with bridge(Wire()) as client:
        await client.post(WEBHOOK, json=envelope(person(1) | {"id": EMAIL}))
        assert EMAIL not in (await Operator(client).call("GET", FILE)).text


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r+", " @", "\x1b[", "\u202e", "\ud800"])
def test_no_cell_is_a_formula_or_drives_a_terminal(begin: str) -> None:
    item = {"a": f"{begin}1+1", "b": 'x"y, ü', "c": -1, "d": None}
    (row,) = csv.reader(io.StringIO(export.csv_lines([item])))
    assert row[0].startswith("'")
    assert row[0].isprintable()
    assert row[1:] == ['x"y, ü', "-1", ""]


def test_no_part_of_a_cell_is_a_formula_where_semicolons_part_them() -> None:
    assert export.csv_lines([{"a": "x;=1+1", "b": "y; -2;3", "c": "a;b"}]) == "x;'=1+1,y;' -2;3,a;b\r\n"


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (Filter(), "transfers-until-20261124T100000Z.csv"),
        (Filter(status="failed", since=1795428000.0), "transfers-failed-20261123T100000Z-to-20261124T100000Z.csv"),
        (Filter(until=1795428000.0, email_hash="0" * 64), "transfers-until-20261123T100000Z.csv"),
    ],
)
def test_the_name_of_the_file(wanted: Filter, name: str) -> None:
    assert export.file_name(wanted, "csv", 1795514400.0) == name
