"""Rows that a mapping leaves out on purpose, each counted by the setting that did it."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from medlstm.settings.source import TableMapping
from medlstm.sources.mapping import Received, given_column, is_one_of, received_column, variable_names
from medlstm.values.units import unit_table


def without_left_out(received: Received, mapping: TableMapping) -> tuple[Received, dict[str, int]]:
    """The rows that stay, and how many each setting left out, by what a person reads of them."""
    counts: dict[str, int] = {}
    for reason, wanted in (
        ("by keep and drop", _kept_by_texts),
        ("of variables that the mapping does not name", _of_known_variable),
        ("of no stay", _of_a_stay),
    ):
        rows = wanted(received, mapping)
        if rows is None:
            continue
        kept = received.take(rows)
        if len(kept.numbers) < len(received.numbers):
            counts[reason] = len(received.numbers) - len(kept.numbers)
        received = kept
    return received, counts


def _kept_by_texts(received: Received, mapping: TableMapping) -> pa.Array | None:
    taken = None
    for one in _conditions(received, mapping):
        taken = one if taken is None else pc.and_(taken, one)
    return taken


def _conditions(received: Received, mapping: TableMapping) -> Iterator[pa.Array]:
    for name, texts in mapping.keep.items():
        yield is_one_of(received_column(received, name, name), _with_words_for_nothing(texts, mapping))
    for name, texts in mapping.drop.items():
        yield pc.invert(is_one_of(received_column(received, name, name), _with_words_for_nothing(texts, mapping)))


def _with_words_for_nothing(texts: list[str], mapping: TableMapping) -> list[str]:
    return [*texts, *mapping.null_texts] if "" in texts else texts


def _of_known_variable(received: Received, mapping: TableMapping) -> pa.Array | None:
    if not mapping.known_variables_only or "variable" in mapping.constants:
        return None
    known = {*variable_names(mapping), *(() if mapping.variable_codes else unit_table().units)}
    # A row without a variable is none of a variable that nobody wants: the contract refuses it.
    return is_one_of(given_column(received, mapping, "variable"), ["", *sorted(known)])


def _of_a_stay(received: Received, mapping: TableMapping) -> pa.Array | None:
    if mapping.without_stay != "leave_out":
        return None
    return pc.invert(is_one_of(given_column(received, mapping, "stay_id"), [""]))
