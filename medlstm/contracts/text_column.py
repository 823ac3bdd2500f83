"""Columns as the contracts hold them: numbers, instants, and text with each distinct text once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class TextColumn:
    """Text without surrounding blanks: row i is `distinct[codes[i]]`, missing where the code is -1."""

    codes: np.ndarray
    distinct: np.ndarray

    def missing(self) -> np.ndarray:
        return self.codes < 0

    def take(self, rows: np.ndarray) -> "TextColumn":
        return TextColumn(self.codes[rows], self.distinct)

    def ranks(self) -> np.ndarray:
        """Integers [n] in the order of the text, -1 where missing."""
        rank = np.empty(len(self.distinct) + 1, dtype=np.int64)
        rank[pc.array_sort_indices(pa.array(self.distinct, pa.string())).to_numpy()] = np.arange(len(self.distinct))
        rank[-1] = -1
        return rank[self.codes]

    def to_arrow(self) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(
            pa.array(self.codes, pa.int32(), mask=self.missing()), pa.array(self.distinct, pa.string())
        )

    def to_pandas(self) -> pd.Categorical:
        return pd.Categorical.from_codes(self.codes, categories=pd.Index(self.distinct, dtype="str"), validate=False)


# float64 with NaN for missing, int64 microseconds with MISSING_TIME, bool objects as int8 (-1 missing), or text.
Column = np.ndarray | TextColumn
