import pandas as pd
import pytest

from medlstm.values.parsing import parse_booleans, parse_numbers, parse_text, parse_timestamps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01 12:00", "2026-07-01T10:00Z"),
        ("2026-07-01T12:00:30.5", "2026-07-01T10:00:30.5Z"),
        ("2026-07-01T12:00Z", "2026-07-01T12:00Z"),
        ("2026-07-01T12:00+05:00", "2026-07-01T07:00Z"),
        ("2026-03-29 02:30", "2026-03-29T01:00Z"),
        ("2026-10-25 02:30", "2026-10-25T00:30Z"),
        ("2026-07-01", "2026-06-30T22:00Z"),
    ],
)
def test_timestamps_are_read_in_the_workspace_time_zone(text, expected):
    parsed = parse_timestamps(pd.Series([text]), "Europe/Berlin")
    assert parsed.values[0] == pd.Timestamp(expected)
    assert not parsed.malformed[0]


def test_malformed_is_told_from_missing():
    texts = pd.Series(["yesterday", None, "  ", "2026-02-30 00:00"])
    assert list(parse_timestamps(texts, "UTC").malformed) == [True, False, False, True]
    assert list(parse_numbers(pd.Series(["haemolysed", None, "", "nan", "inf"])).malformed) == [
        True, False, False, True, True,
    ]  # fmt: skip
    assert list(parse_booleans(pd.Series(["maybe", None])).malformed) == [True, False]


def test_numbers_with_exponent_and_blanks():
    assert list(parse_numbers(pd.Series(["1.474e+04", " 7 ", "-1"])).values) == [14740.0, 7.0, -1.0]


def test_booleans_in_any_case():
    assert list(parse_booleans(pd.Series(["TRUE", "no", "1", "0"])).values) == [True, False, True, False]


def test_blank_text_is_missing():
    assert list(parse_text(pd.Series([" a ", " "])).isna()) == [False, True]
