"""What the Patients, Conditions and Encounters of a delivery say, one fact each, and how it is remembered."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from medlstm.sources.fhir_json import at, items, text
from medlstm.sources.fhir_references import Identifier, Reference, reference_of
from medlstm.sources.fhir_resources import (
    DELETED,
    Condition,
    Encounter,
    Person,
    condition,
    encounter,
    person,
)
from medlstm.sources.source_batch import REMEMBERED_SCHEMA

KINDS = ("Patient", "Condition", "Encounter")
_GONE: dict[str, Any] = {"Patient": Person(), "Condition": Condition(), "Encounter": Encounter(status=DELETED)}


class Entry(NamedTuple):
    """A resource, or what a Bundle says of one: its full URL, or that it is deleted."""

    resource: dict[str, Any] | None
    full_url: str | None = None
    deleted: Reference | None = None


def entries(content: dict[str, Any]) -> Iterator[Entry]:
    """A resource itself; of a Bundle every entry, oldest first (a history has its newest first)."""
    if text(content, "resourceType") != "Bundle":
        yield Entry(content)
        return
    listed = items(content, "entry")
    for one in reversed(listed) if text(content, "type") == "history" else listed:
        resource, url = at(one, "resource"), text(one, "request", "url") or text(one, "fullUrl")
        if (text(one, "request", "method") or "").upper() == "DELETE":
            if url:
                yield Entry(None, None, reference_of(url.strip()))
        elif isinstance(resource, dict) and text(resource, "resourceType") == "Bundle":
            yield from entries(resource)
        elif isinstance(resource, dict):
            yield Entry(_with_id(resource, text(one, "fullUrl")), text(one, "fullUrl"))


def _with_id(resource: dict[str, Any], full_url: str | None) -> dict[str, Any]:
    """A resource that a Bundle creates may have no id yet: its URN stands for it."""
    if text(resource, "id") or not (full_url or "").startswith("urn:"):
        return resource
    return resource | {"id": str(full_url).rsplit(":", 1)[-1]}


class Fact(NamedTuple):
    """One resource of KINDS as it was delivered; `what` is None where it was deleted, then `whom` may be a search."""

    kind: str
    whom: Reference
    what: Person | Condition | Encounter | None
    full_url: str | None
    source_file: str
    source_row: int

    @property
    def content(self) -> Any:
        """What is known from now on."""
        return _GONE[self.kind] if self.what is None else self.what


def fact(entry: Entry, source_file: str, source_row: int) -> Fact | None:
    """None for a resource of another kind, or without an id."""
    gone = entry.deleted
    if gone:
        return Fact(gone.type, gone, None, None, source_file, source_row) if gone.type in KINDS else None
    kind, key = text(entry.resource, "resourceType"), text(entry.resource, "id")
    if kind not in KINDS or key is None or entry.resource is None:
        return None
    what = {"Patient": person, "Condition": condition, "Encounter": encounter}[kind](entry.resource)
    return Fact(kind, Reference("id", kind, key), what, entry.full_url, source_file, source_row)  # type: ignore[arg-type]


def to_remember(facts: Iterable[Fact]) -> pa.Table:
    """Facts as rows of REMEMBERED_SCHEMA, in their order."""
    rows = [
        {
            "place": place,
            "kind": one.kind,
            "key": one.whom.id,
            "settled_on": one.what.end[:10] if isinstance(one.what, Encounter) and one.what.end else None,
            "content": json.dumps([one.whom, one.full_url, one.what and one.what._asdict()], ensure_ascii=False),
        }
        for place, one in enumerate(facts)
    ]
    return pa.Table.from_pylist(rows, REMEMBERED_SCHEMA)


def from_remembered(rows: pa.Table) -> Iterator[Fact]:
    """The facts of `to_remember`; where they came from is forgotten."""
    for kind, content in zip(rows.column("kind").to_pylist(), rows.column("content").to_pylist(), strict=True):
        whom, full_url, what = json.loads(content)
        yield Fact(kind, _reference(whom), what and _content(kind, what), full_url, "", 0)


def _content(kind: str, what: dict[str, Any]) -> Person | Condition | Encounter:
    if kind == "Patient":
        return Person(**what | {"identifiers": _identifiers(what["identifiers"])})
    if kind == "Condition":
        return Condition(**what | {"encounter": _maybe(what["encounter"]), "codes": tuple(what["codes"])})
    references = {name: _maybe(what[name]) for name in ("patient", "part_of", "first_condition")}
    texts = {"classes": tuple(what["classes"]), "identifiers": _identifiers(what["identifiers"])}
    return Encounter(**what | references | texts)


def _maybe(parts: list[Any] | None) -> Reference | None:
    return None if parts is None else _reference(parts)


def _reference(parts: list[Any]) -> Reference:
    kind, of_type, key, known = parts
    return Reference(kind, of_type, key, _identifiers(known))


def _identifiers(parts: list[list[Any]]) -> tuple[Identifier, ...]:
    return tuple(Identifier(*one) for one in parts)
