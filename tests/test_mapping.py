"""iPaaS.com's record → Stamped.io's fields and the wanted subscription."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping import BUILT_IN, MappingFault, UnreadableConsent, ValueFault, load_mapping, read_consent
from tests.support import EMAIL, RECORD, record_of, with_consent

HEAD = '[customer]\nemail = "email_address"\n'
YES = ["true", "1", "yes", "y", "subscribed", "on"]
NO = ["false", "0", "no", "n", "unsubscribed", "off"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def mapped(text: str, **fields: Any) -> dict[str, Any]:
    return load_mapping(text).fields(record_of(**fields)).body


def test_the_built_in_mapping() -> None:
    fields = load_mapping().fields(record_of())
    assert fields.email == EMAIL
    assert fields.body == {
        "email": EMAIL,
        "firstName": "Annabell",
        "lastName": "Quisling",
        "externalId": "C-1001",
    }
    assert fields.names == ["Annabell", "Quisling"]
    assert load_mapping().subscribed is None


def test_a_mapping_of_ones_own() -> None:
    text = """
    [customer]
    email = "email_address"
    name = "join(' ', [first_name, last_name])"
    tags = "custom_field('tier')"
    country = "extension_fields.country"
    notes = "company"
    [subscription]
    subscribed = "custom_field('Consent')"
    """
    record = record_of(
        company="Difference Ltd",
        extension_fields={"country": "GB"},
        custom_fields=[
            {"custom_field_name": "Tier", "value": "gold"},
            {"custom_field_name": "Consent", "value": "y"},
        ],
    )
    mapping = load_mapping(text)
    assert mapping.fields(record).body == {
        "email": EMAIL,
        "name": "Annabell Quisling",
        "tags": "gold",
        "country": "GB",
        "notes": "Difference Ltd",
    }
    assert mapping.wants_subscription(record) is True


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("FirstName", "Annabell"),
        ("CustomerNumber", "C-1001"),
        ("first_name", "Annabell"),
        ("Company", "Difference Ltd"),
        ("CreatedDatetime", "2026-01-01"),
    ],
)
def test_names_of_the_mapping_screens_in_pascal_case(expression: str, value: str) -> None:
    text = f'[customer]\nemail = "EmailAddress"\nnotes = "{expression}"'
    body = mapped(text, company="Difference Ltd", created_datetime="2026-01-01")
    assert body == {"email": EMAIL, "notes": value}


@pytest.mark.parametrize("name", ["Tier", "tier", "TIER", " tier "])
def test_custom_fields_are_found_in_any_case(name: str) -> None:
    text = f'[customer]\nemail = "email_address"\ntags = "custom_field(\'{name}\')"'
    body = mapped(text, custom_fields=[{"id": 1, "custom_field_name": "Tier", "value": "gold"}])
    assert body["tags"] == "gold"


@pytest.mark.parametrize(
    "value", [None, "", "   ", ..., [], {}], ids=["null", "empty", "blank", "absent", "list", "map"]
)
def test_null_and_empty_results_are_left_out(value: Any) -> None:
    text = '[customer]\nemail = "email_address"\nnotes = "comment"'
    assert mapped(text, comment=value) == {"email": EMAIL}


@pytest.mark.parametrize("value", [0, False, "0", "x"])
def test_zero_and_false_are_sent(value: Any) -> None:
    text = '[customer]\nemail = "email_address"\nnotes = "comment"'
    assert mapped(text, comment=value)["notes"] == value


def test_one_of_the_two_names_may_be_missing() -> None:
    assert "firstName" not in mapped(BUILT_IN, first_name="")
    assert "lastName" not in mapped(BUILT_IN, last_name=None)


@pytest.mark.parametrize(
    "email",
    [
        *("a@b.example", " anna@example.com ", "o'neil+x@sub.example.co.uk", "jürgen@müller.example"),
        *("a..b@ex.com", "-a-@ex.com", "a@x-y.1.example", "用户@例え.テスト"),
    ],
)
def test_valid_emails(email: str) -> None:
    assert load_mapping().fields(record_of(email_address=email)).email == email.strip()


@pytest.mark.parametrize(
    "email",
    [
        "anna",
        "anna@",
        "@example.com",
        "anna@example",
        "anna@example.",
        "an na@example.com",
        "anna@@example.com",
        "anna@example.com, bob@example.com",
        "<anna@example.com>",
        "anna@example.com\nbob",
        "a" * 250 + "@example.com",
        *("a@ex..com", "a@.ex.com", "a@-ex.com", "a@ex-.com", "a@ex.-com", "a@ex.com-", "a@ex."),
        *("a\x00b@ex.com", "a@e\x1fx.com", "a@ex.c\x7fom", "\x1ba@ex.com"),
    ],
)
def test_invalid_emails_are_named_without_being_shown(email: str) -> None:
    with pytest.raises(ValueFault) as raised:
        load_mapping().fields(record_of(email_address=email))
    assert "e-mail" in str(raised.value)
    assert email not in str(raised.value)


@pytest.mark.parametrize("email", [None, "", " ", ...], ids=["null", "empty", "blank", "absent"])
def test_a_missing_email(email: Any) -> None:
    with pytest.raises(ValueFault, match="no e-mail"):
        load_mapping().fields(record_of(email_address=email))


def test_an_expression_that_does_not_fit_the_record_names_the_field_only() -> None:
    mapping = load_mapping('[customer]\nemail = "email_address"\nnotes = "length(category_id)"')
    with pytest.raises(ValueFault, match="notes") as raised:
        mapping.fields(record_of(category_id=77))
    assert "77" not in str(raised.value)


def test_a_function_that_does_not_fit_the_record_names_the_field_only() -> None:
    text = (
        HEAD + "notes = 'contains(email_address, `1`)'\n[subscription]\nsubscribed = 'contains(first_name, `1`)'"
    )
    mapping = load_mapping(text)
    for find, target in ((mapping.fields, "notes"), (mapping.wants_subscription, "subscribed")):
        with pytest.raises(ValueFault, match=rf"of {target} does not fit this record \(TypeError\)") as raised:
            find(record_of())
        assert EMAIL not in str(raised.value)


@pytest.mark.parametrize(
    "change", [str, str.upper, str.title, lambda word: f"  {word} "], ids=["as is", "upper", "title", "blanks"]
)
@pytest.mark.parametrize(("word", "wanted"), [*((word, True) for word in YES), *((word, False) for word in NO)])
def test_consent_words_in_any_case(word: str, *, wanted: bool, change: Any) -> None:
    mapping = load_mapping(subscription_field="Consent")
    assert mapping.wants_subscription(record_of(**with_consent(change(word)))) is wanted


@pytest.mark.parametrize(("value", "wanted"), [(True, True), (False, False), (1, True), (0, False)])
def test_consent_need_not_be_text(value: Any, *, wanted: bool) -> None:
    assert read_consent(value) is wanted


@pytest.mark.parametrize("value", [..., None, "", "  "], ids=["absent", "null", "empty", "blank"])
def test_absent_consent_decides_nothing(value: Any) -> None:
    assert load_mapping(subscription_field="Consent").wants_subscription(record_of(**with_consent(value))) is None


@pytest.mark.parametrize("value", ["maybe", "ja", "2", "-1", "truefalse", "yes please", "1.0"])
def test_unreadable_consent_names_the_value(value: str) -> None:
    with pytest.raises(UnreadableConsent, match=f"'{value}'"):
        load_mapping(subscription_field="Consent").wants_subscription(record_of(**with_consent(value)))


def test_a_long_consent_value_is_cut() -> None:
    with pytest.raises(UnreadableConsent) as raised:
        read_consent("x" * 5000)
    assert "…" in str(raised.value)
    assert len(str(raised.value)) < 300


def test_unmapped_consent_decides_nothing() -> None:
    assert load_mapping().wants_subscription(record_of(**with_consent("true"))) is None


@given(JSON)
def test_no_consent_value_breaks_the_reading_or_subscribes_by_chance(value: Any) -> None:
    try:
        wanted = read_consent(value)
    except UnreadableConsent:
        wanted = None
    assert wanted is None or str(value).strip().lower() in (YES if wanted else NO)


@given(JSON)
def test_no_custom_field_value_breaks_the_mapping(value: Any) -> None:
    text = '[customer]\nemail = "email_address"\nnotes = "custom_field(\'Consent\')"'
    body = load_mapping(text).fields(record_of(**with_consent(value))).body
    assert body["email"] == EMAIL


@pytest.mark.parametrize(
    "name", ["Consent", "It's ok", 'a "quoted" one', "back\\slash", "end\\", "tick`", "Einwilligung ü"]
)
def test_subscription_field_is_short_for_custom_field(name: str) -> None:
    record = record_of(custom_fields=[{"custom_field_name": name, "value": "yes"}])
    assert load_mapping(subscription_field=name).wants_subscription(record) is True


BROKEN: dict[str, tuple[str | bytes, int, int]] = {
    "no toml": ("[customer\n", 1, 10),
    "unclosed text": ('[customer]\nemail = "x\n', 2, 11),
    "table twice": (HEAD + "[customer]\n", 3, 10),
    "unknown table": (HEAD + '[consent]\nx = "y"\n', 3, 2),
    "no table": ("x = 1\n" + HEAD, 1, 1),
    "unknown consent field": (HEAD + '[subscription]\nconsent = "y"\n', 4, 1),
    "no email": ('# mine\n[customer]\nnotes = "x"\n', 2, 1),
    "not text": (HEAD + "notes = 7\n", 3, 1),
    "empty expression": (HEAD + 'notes = ""\n', 3, 1),
    "broken expression": (HEAD + 'notes = "a.b["\n', 3, 10),
    "broken at its begin": (HEAD + 'notes = "]x"\n', 3, 10),
    "broken in the middle": (HEAD + 'notes = "first_name ^ x"\n', 3, 21),
    "unknown function": (HEAD + 'notes = "upper(first_name)"\n', 3, 10),
    "unknown function inside": (HEAD + "notes = \"join(' ', [upper(a)])\"\n", 3, 10),
    "not utf-8": (HEAD.encode() + 'notes = "ü'.encode() + 'ü"\n'.encode("latin-1"), 3, 11),
    "utf-16": (HEAD.encode("utf-16"), 1, 1),
    "broken consent": (HEAD + '[subscription]\nsubscribed = "(("\n', 4, 15),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_names_line_and_column(kind: str) -> None:
    text, line, column = BROKEN[kind]
    with pytest.raises(MappingFault) as raised:
        load_mapping(text, source="MAPPING_FILE my.toml")
    assert str(raised.value).startswith("MAPPING_FILE my.toml: ")
    assert f"(at line {line}, column " in str(raised.value)
    if kind not in {"broken expression", "broken consent"}:  # JMESPath itself points at the end of these
        assert f"column {column})" in str(raised.value)


def test_the_same_field_twice_is_a_fault_that_names_the_line() -> None:
    with pytest.raises(MappingFault, match="at line 3"):
        load_mapping(HEAD + 'email = "other"\n')


def test_consent_mapped_twice_is_a_fault() -> None:
    text = HEAD + '[subscription]\nsubscribed = "comment"\n'
    with pytest.raises(MappingFault, match=r"SUBSCRIPTION_FIELD.*at line 4, column 1"):
        load_mapping(text, subscription_field="Consent")


def test_a_wrong_number_of_arguments_is_a_fault_of_the_file() -> None:
    """It could never fit any record, so that it ends the start."""
    with pytest.raises(MappingFault, match="at line 3"):
        load_mapping(HEAD + 'notes = "custom_field()"\n')


def test_a_mapping_never_changes_the_record() -> None:
    record = record_of()
    load_mapping().fields(record)
    assert record.model_dump(exclude_none=True) == RECORD | {"id": "150713"}


@pytest.mark.parametrize("text", [f'[customer]\nemail = "{"(" * 3000}"\n', f"a = {'[' * 3000}"])
def test_what_is_nested_too_deeply_is_a_fault(text: str) -> None:
    with pytest.raises(MappingFault, match="nested too deeply"):
        load_mapping(text)
