from datetime import date, datetime, time, timedelta
from uuid import UUID

import pyarrow as pa
import pytest

from medlstm.values.missing_texts import NULL_TEXTS, without_null_texts
from medlstm.values.text_columns import as_text

CODE = UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([1_774_605_600_123_456_789], pa.timestamp("ns")), "2026-03-27T10:00:00.123456"),
        (pa.array([1_774_605_600], pa.timestamp("s", tz="Europe/Berlin")), "2026-03-27T10:00:00.000000Z"),
        (pa.array([datetime(2026, 3, 27, 10)]).dictionary_encode(), "2026-03-27T10:00:00.000000"),
        (pa.array([date(2026, 3, 27)], pa.date64()), "2026-03-27"),
        (pa.array([time(10, 0, 1)], pa.time32("s")), "10:00:01"),
        (pa.array([timedelta(minutes=90)], pa.duration("ns")), "1.5"),
        (pa.array([1.7746056e12]), "1774605600000"),
        (pa.array([80.5]), "80.5"),
        (pa.array([float("nan")]), None),
        (pa.array([CODE.bytes], pa.uuid()), str(CODE)),
        (pa.array(["x"], pa.string_view()), "x"),
        (pa.nulls(1), None),
    ],
)
def test_columns_of_any_type_become_text_that_says_the_same(column, text):
    assert as_text(column).to_pylist() == [text]
    assert as_text(pa.chunked_array([column])).to_pylist() == [text]


def test_words_for_nothing_are_missing_with_blanks_around_them_and_no_others():
    texts = pa.chunked_array([["NULL", " \\N ", "NA"], ["Nathan", "0", None, "nan"]])
    assert without_null_texts(texts, NULL_TEXTS).to_pylist() == [None, None, None, "Nathan", "0", None, None]
    assert without_null_texts(texts, []).to_pylist() == texts.to_pylist()
