"""Ages that a sender hides on purpose (> 89, 90+, 300, a birth date of 1900), as the number that is meant."""

import pyarrow as pa
import pyarrow.compute as pc

from medlstm.values.text_columns import Text


def unmasked(ages: Text, received: Text, masks: dict[str, float]) -> Text:
    """Ages as text [n], those whose text as received is a mask replaced by its number; blanks and case do not count."""
    if not masks:
        return ages
    numbers = {_plain(text): repr(age) for text, age in masks.items()}
    encoded = pc.dictionary_encode(received.cast(pa.string()))
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    meant = [numbers.get(_plain(text or "")) for text in encoded.dictionary.to_pylist()]
    found = pa.array(meant, pa.string()).take(encoded.indices)
    ages = ages.cast(pa.string())
    return pc.coalesce(found, ages.combine_chunks() if isinstance(ages, pa.ChunkedArray) else ages)


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()
