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
        # As programs write them.
        ("2026-07-01 12:00:00 UTC", "2026-07-01T12:00Z"),
        ("2026-07-01 12:00 Z", "2026-07-01T12:00Z"),
        ("2026-07-01t12:00:00.1234567 GMT", "2026-07-01T12:00:00.123456Z"),
        ("2026-07-01 12:00:00 +0000 UTC", "2026-07-01T12:00Z"),
        ("2026-07-01 12:00:00 -0500", "2026-07-01T17:00Z"),
        ("2026-07-01 12:00:00+0200", "2026-07-01T10:00Z"),
        ("2026-07-01T12:00:00+02:00[Europe/Berlin]", "2026-07-01T10:00Z"),
        ("2026-07-01 12:00:00,25", "2026-07-01T10:00:00.25Z"),
        ("2026-07-01 12:00:00.123456789", "2026-07-01T10:00:00.123456Z"),
        ("20260701120000", "2026-07-01T10:00Z"),
        ("202607011200", "2026-07-01T10:00Z"),
        ("20260701120000.5+0200", "2026-07-01T10:00:00.5Z"),
        ("20260701", "2026-06-30T22:00Z"),
        # The midnight that ends the day, also that of the day before the clock changes.
        ("2026-07-01 24:00", "2026-07-01T22:00Z"),
        ("2026-07-01T24:00:00Z", "2026-07-02T00:00Z"),
        ("2026-12-31T24:00:00.000", "2026-12-31T23:00Z"),
        ("202603282400", "2026-03-28T23:00Z"),
        ("2026-03-29 24:00", "2026-03-29T22:00Z"),
    ],
)
def test_timestamps_are_read_in_the_workspace_time_zone(text, expected):
    parsed = parse_timestamps(pd.Series([text]), "Europe/Berlin")
    assert parsed.values[0] == pd.Timestamp(expected)
    assert not parsed.malformed[0]


@pytest.mark.parametrize(
    "text",
    ["now", "today", "2026", "2026-07", "10:00", "1774605600", "1774605600000", "2026-07-01 24:30",
     "2026-07-01 24:00:01", "20260732120000", "2026-07-01 12:00 CET", "46108.5"],
)  # fmt: skip
def test_what_may_be_another_time_is_malformed(text):
    assert parse_timestamps(pd.Series([text]), "Europe/Berlin").malformed.all()


def test_a_year_alone_is_a_date_of_birth_only():
    parsed = parse_timestamps(pd.Series(["1960", "1960-03"]), "UTC", whole_dates=False)
    assert list(parsed.values) == [pd.Timestamp("1960-01-01", tz="UTC"), pd.Timestamp("1960-03-01", tz="UTC")]


def test_far_dates_and_fine_fractions_are_read_together():
    parsed = parse_timestamps(pd.Series(["9999-12-31", "2026-07-01 12:00:00.123456789"]), "UTC")
    assert not parsed.malformed.any()


def test_malformed_is_told_from_missing():
    texts = pd.Series(["yesterday", None, "  ", "2026-02-30 00:00"])
    assert list(parse_timestamps(texts, "UTC").malformed) == [True, False, False, True]
    assert list(parse_numbers(pd.Series(["haemolysed", None, "", "nan", "inf"])).malformed) == [
        True, False, False, True, True,
    ]  # fmt: skip
    assert list(parse_booleans(pd.Series(["maybe", None])).malformed) == [True, False]


def test_numbers_with_exponent_and_blanks():
    assert list(parse_numbers(pd.Series(["1.474e+04", " 7 ", "-1"])).values) == [14740.0, 7.0, -1.0]


def test_marks_between_thousands_are_read_where_they_can_be_nothing_else():
    texts = pd.Series(["1,234.5", "-1,234,567", "1'234", "1’234.5", "1\u202f234", "1,234", "120 080", "12,34.5"])
    parsed = parse_numbers(texts)
    assert list(parsed.values[:5]) == [1234.5, -1234567.0, 1234.0, 1234.5, 1234.0]
    assert list(parsed.malformed) == [False] * 5 + [True] * 3


def test_booleans_in_any_case():
    assert list(parse_booleans(pd.Series(["TRUE", "no", "1", "0"])).values) == [True, False, True, False]


def test_blank_text_is_missing():
    assert list(parse_text(pd.Series([" a ", " "])).isna()) == [False, True]
