"""Words that stand for nothing: what databases and statistics programs write where a value is missing."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from medlstm.values.text_columns import Text, encoded, on_distinct

NULL_TEXTS = (
    "NULL", "Null", "null", "(null)", "\\N", "NaN", "nan", "NaT", "NA", "N/A", "n/a", "#N/A", "<NA>", "None", "none",
)  # fmt: skip
# Words that may also be the name of a ward or of a finding; in categories they stay what they are.
ALSO_NAMES = ("NA", "None", "none")


def without_null_texts(column: Text, words: Collection[str]) -> Text:
    """The column with null for each text that is one of `words`, blanks around it apart."""
    dictionary = encoded(column)
    hit = pc.is_in(pc.utf8_trim_whitespace(dictionary.dictionary), pa.array(words, pa.string()))
    if not pc.any(hit).as_py():
        return dictionary
    return on_distinct(dictionary, lambda distinct: pc.if_else(hit, pa.scalar(None, pa.string()), distinct))
