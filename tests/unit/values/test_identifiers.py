from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from medlstm.values.identifiers import identifier_text, plain_identifiers, rounded_identifiers
from medlstm.values.text_columns import UnfitFileError


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([202600000017.0, 7.0, None, float("nan")]), ["202600000017", "7", None, None]),
        (pa.array([2.0**53 - 1, 1.5]), ["9007199254740991", "1.5"]),
        (pa.array([7.0, 16777215.0], pa.float32()), ["7", "16777215"]),
        (pa.array([202600000017.0, 202600000017.0]).dictionary_encode(), ["202600000017"] * 2),
        (pa.array([Decimal("202600000017.0000"), Decimal("1.5000")], pa.decimal128(38, 4)), ["202600000017", "1.5"]),
        (pa.array([9007199254740993]), ["9007199254740993"]),
        (pa.array([b"a7"]), ["a7"]),
        (pa.array(["07", "A.1"], pa.large_string()), ["07", "A.1"]),
    ],
)
def test_identifiers_of_any_type_keep_every_digit(column, texts):
    assert identifier_text(column, "visit").to_pylist() == texts


@pytest.mark.parametrize(
    "column", [pa.array([2.0**53]), pa.array([-1e17]), pa.array([2.0**24], pa.float32()), pa.array([np.float16(2048)])]
)
def test_floating_point_with_too_few_digits_is_refused_by_the_columns_name(column):
    with pytest.raises(UnfitFileError, match="the column visit holds identifiers as floating-point"):
        identifier_text(column, "visit")


def test_texts_of_numbers_are_whole_numbers_where_every_digit_is_known():
    received = ["7.0", "2.02600000017E11", "2.026E11", "2.02600000017e+11", "2.026E+11", "1E5", "A.1", "5.1", None]
    plain = plain_identifiers(pa.array(received)).to_pylist()
    assert plain == ["7", "202600000017", "202600000000", "202600000017", "2.026E+11", "1E5", "A.1", "5.1", None]
    # A spreadsheet writes 2.026E+11 for very many identifiers.
    assert rounded_identifiers(pd.Series(plain, dtype="str")).tolist() == [False] * 4 + [True] + [False] * 4
    # From here on a double has not every digit.
    lost = ["9007199254740992.0", "9.007199254740992E15"]
    assert plain_identifiers(pa.array(lost)).to_pylist() == lost
    assert rounded_identifiers(pd.Series(lost, dtype="str")).all()
