"""What in a mapping is probably a slip of the pen: a field that no record has, or that Stamped.io lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.ipaas.models import CustomerRecord, read_record
from app.setting_sources import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.mapping import Mapping as FieldMapping

_OTHER_FIELDS = ("company", "comment", "category_id", "created_datetime", "extension_fields")
RECORD: Final = frozenset(read_record(dict.fromkeys((*CustomerRecord.model_fields, *_OTHER_FIELDS))).view)
STAMPED: Final = frozenset(
    {
        *("id", "email", "firstName", "lastName", "name", "externalId", "tags", "country", "location", "notes"),
        *("isSubscribed", "isConfirmed", "points", "dateCreated", "dateUpdated", "dateBirthday"),
    }
)
_AT_THE_ROOT = frozenset(
    {
        *("function_expression", "or_expression", "and_expression", "not_expression", "comparator"),
        *("multi_select_list", "multi_select_dict", "key_val_pair"),
    }
)


def doubts(mapping: FieldMapping) -> list[str]:
    """One sentence each."""
    found = [
        f"{each.target}: Stamped.io is not known to have this field; did you mean {nearest(each.target, STAMPED)}?"
        for each in mapping.customer
        if each.target not in STAMPED
    ]
    for each in (*mapping.customer, *([mapping.subscribed] if mapping.subscribed else [])):
        found += [
            f"{each.target} reads {name}, which no record of iPaaS.com has; did you mean {nearest(name, RECORD)}?"
            for name in _read(each.parsed.parsed)
            if name not in RECORD
        ]
    return found


def _read(node: Mapping[str, Any]) -> Iterator[str]:
    """The fields of the record itself that an expression looks at."""
    children = [each for each in node["children"] if isinstance(each, dict)]
    if node["type"] == "field":
        yield node["value"]
    elif node["type"] in _AT_THE_ROOT:
        for each in children:
            yield from _read(each)
    elif node["type"] != "expref" and children:  # what comes after the first looks into what that has found
        yield from _read(children[0])
