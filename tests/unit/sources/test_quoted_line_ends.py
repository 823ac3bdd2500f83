import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medlstm.sources.quoted_line_ends import QuotedLineEnds

HEADER = "visit,mrn,adm,dis,dx\n"


def _passed(text, block_bytes=1 << 20, delimiter=",", columns=5):
    quotes = QuotedLineEnds(delimiter, columns)
    content = text.encode()
    blocks = [content[place : place + block_bytes] for place in range(0, len(content), block_bytes)]
    passed = b"".join(quotes.passed_on(block, last=False) for block in blocks) + quotes.passed_on(b"", last=True)
    return passed.decode(), quotes


def _rows(text, delimiter=","):
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


@pytest.mark.parametrize(
    ("rows", "mended"),
    [
        # Never closed: within the file, at its end, with \r\n.
        ('s1,p1,t,,x\ns2,p2,t,,"5 cm\ns3,p3,t,,x\n', [3]),
        ('s1,p1,t,,x\ns2,p2,t,,"5 cm', [3]),
        ('s1,p1,t,,"5 cm\r\ns2,p2,t,,x\r\n', [2]),
        # Closed by a quote of another row, as if that had been meant.
        ('s1,p1,t,,"5 cm\ns2,p2,t,,x\ns3,p3,t,,7"\n', [2]),
        ('s1,p1,"12 stent,t,\ns2,p2,12 stent",t,\n', [2]),
        ('s1,p1,"12 stent,t,\ns2,p2,"12 stent,t,\ns3,p3,x,t,\n', [2, 3]),
        # The next row has quotes of its own.
        ('s1,p1,t,,"5 cm\ns2,p2,t,,"wound, big"\n', [2]),
        # Two marks of inches in one row.
        ('s1,p1,t,"12 stent,5" balloon\n', [2]),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
def test_a_quote_that_encloses_no_field_swallows_no_row(rows, mended, block_bytes):
    passed, quotes = _passed(HEADER + rows, block_bytes)
    assert [row[0] for row in _rows(passed)] == ["visit", *(f"s{n + 1}" for n in range(rows.count("\ns") + 1))]
    assert all(len(row) == 5 for row in _rows(passed))
    assert (quotes.mended, quotes.doubtful) == (mended, [])


def test_a_field_with_line_ends_stays_one_field_and_one_that_may_hold_a_row_is_told():
    meant = HEADER + 's1,p1,t,,"note\nof, two lines"\ns2,p2,"he said ""a\nb""",t,\n5" x,p,t,,"a\nb"\n'
    assert _passed(meant) == (meant, _Same([], []))
    doubtful = HEADER + 's1,p1,"one\na,b,c,d,e\ntwo",t,\n'
    assert _passed(doubtful) == (doubtful, _Same([], [2]))


class _Same:
    """Equal to whatever found the same lines."""

    def __init__(self, mended, doubtful):
        self.found = (mended, doubtful)

    def __eq__(self, other):
        return (other.mended, other.doubtful) == self.found

    __hash__ = None


@given(
    st.lists(st.lists(st.text(alphabet='ab" \n', max_size=6), min_size=5, max_size=5), max_size=6),
    st.integers(1, 40),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_program_wrote_by_the_rules_is_passed_on_unchanged(rows, block_bytes, quoting):
    out = io.StringIO()
    csv.writer(out, quoting=quoting, lineterminator="\n").writerows([["visit", "mrn", "adm", "dis", "dx"], *rows])
    assert _passed(out.getvalue(), block_bytes) == (out.getvalue(), _Same([], []))
