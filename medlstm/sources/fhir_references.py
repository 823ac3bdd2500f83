"""Which resource a FHIR reference means: by its id, by an identifier, or not to be told."""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from medlstm.sources.fhir_json import at, items, text

_BY_ID = "id"
_BY_SEARCH, _CONTAINED, _LOGICAL = "search (Type?identifier=…)", "contained resource (#…)", "identifier alone"


class Identifier(NamedTuple):
    """An identifier; `system` is None where none is said."""

    system: str | None
    value: str


class Reference(NamedTuple):
    """What a reference says: `type` is "" and `id` None where it does not say; `kind` is in words for people."""

    kind: str
    type: str
    id: str | None
    identifiers: tuple[Identifier, ...] = ()


def identifiers(resource: Any) -> tuple[Identifier, ...]:
    """The identifiers that a resource has."""
    found = (_identifier(one) for one in items(resource, "identifier"))
    return tuple(one for one in found if one)


def _identifier(content: Any) -> Identifier | None:
    value = text(content, "value")
    return None if value is None else Identifier(text(content, "system"), value.strip())


def reference(resource: Any, *path: str | int) -> Reference | None:
    """The reference at a path (R5's CodeableReference, too), None where there is none; `resource` may contain what a
    #reference means."""
    content = at(resource, *path)
    if isinstance(at(content, "reference"), dict):
        content = at(content, "reference")
    named = text(content, "reference")
    by_identifier = _identifier(at(content, "identifier"))
    found = None
    if named and named.strip().startswith("#"):
        found = Reference(_CONTAINED, "", None, tuple(_contained(resource, named.strip())))
    elif named:
        found = reference_of(named.strip())
    if by_identifier is None:
        return found
    if found is None:
        return Reference(_LOGICAL, text(content, "type") or "", None, (by_identifier,))
    return found._replace(identifiers=(*found.identifiers, by_identifier))


def _contained(resource: Any, named: str) -> Iterator[Identifier]:
    for one in items(resource, "contained"):
        if text(one, "id") in (named, named[1:]):
            yield from identifiers(one)


@lru_cache(maxsize=100_000)
def reference_of(named: str) -> Reference:
    """Of the text of a reference: Patient/7, https://…/Patient/7/_history/1, urn:uuid:7, Patient?identifier=s|v."""
    if named.startswith("urn:"):
        return Reference(_BY_ID, "", named.rsplit(":", 1)[-1])
    path, _, query = named.partition("?")
    parts = [part for part in path.partition("#")[0].split("/") if part]
    if query:
        return _searched(parts[-1] if parts else "", query)
    if len(parts) > 2 and parts[-2] == "_history":
        parts = parts[:-2]
    if not parts:
        return Reference(_BY_ID, "", None)
    kind = parts[-2] if len(parts) > 1 and parts[-2][:1].isupper() and parts[-2].isalpha() else ""
    return Reference(_BY_ID, kind, parts[-1])


def _searched(kind: str, query: str) -> Reference:
    terms = dict(parse_qsl(query, keep_blank_values=True))
    if set(terms) == {"_id"} and terms["_id"]:
        return Reference(_BY_ID, kind, terms["_id"])
    if set(terms) != {"identifier"} or not terms["identifier"].rpartition("|")[2]:
        return Reference(_BY_SEARCH, kind, None)
    system, _, value = terms["identifier"].rpartition("|")
    return Reference(_BY_SEARCH, kind, None, (Identifier(system or None, value),))


class ReferenceIndex:
    """The resources that are known, by identifier and by the full URL that a Bundle gives them."""

    def __init__(self) -> None:
        self._by_identifier: dict[tuple[str, str | None, str], set[str]] = {}
        self._by_urn: dict[str, str] = {}

    def add(self, kind: str, resource_id: str, known: tuple[Identifier, ...]) -> None:
        """Note the identifiers of a resource; its value alone finds it, too, where no system is said."""
        for system, value in known:
            for key in {(kind, system, value), (kind, None, value)}:
                self._by_identifier.setdefault(key, set()).add(resource_id)

    def add_url(self, full_url: str, resource_id: str) -> None:
        """Note under which full URL a Bundle has a resource; other URLs than URNs end with the id itself."""
        if full_url.startswith("urn:"):
            self._by_urn[full_url.rsplit(":", 1)[-1]] = resource_id

    def find(self, one: Reference | None, kind: str, counts: Counter[str]) -> str | None:
        """The id of the resource of type `kind` that is meant; what cannot be told is None, and counted by its kind."""
        if one is None:
            return None
        if one.type not in ("", kind):
            counts[f"references are to {one.type} where {kind} is wanted; not followed"] += 1
            return None
        if one.id is not None:
            return self._by_urn.get(one.id, one.id)
        for system, value in one.identifiers:
            found = self._by_identifier.get((kind, system, value), set())
            if len(found) == 1:
                return min(found)
        counts[f"references to {kind} by {one.kind} match no single resource that was delivered; not followed"] += 1
        return None
