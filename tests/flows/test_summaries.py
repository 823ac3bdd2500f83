"""What commands print and what runs leave as Markdown: text as it is, small counts withheld, within 80 columns."""

import io
from dataclasses import replace
from datetime import date

from flows.artifacts import night_markdown
from flows.backfill import BackfillSummary
from flows.command_line.printing import terminal
from flows.command_line.summaries import show
from flows.nightly import NightSummary
from medlstm.ingest.landing_to_raw import IngestSummary
from medlstm.report.content import GroupForecast, NightError, NothingScored
from medlstm.sources.source_batch import UnreadableFile
from medlstm.training.compare_models import Comparison, ModelScores
from tests.unit.report.test_page import full  # noqa: F401  (a fixture)

DAY = date(2026, 3, 20)
GROUPS = (GroupForecast("[red]icu[/red]", 2, 1, 1, 2, 3.5), GroupForecast("er", 1, 0, 0, 1, 1.0))


def _shown(result, width=80):
    console = terminal()
    console.file, console.width = io.StringIO(), width
    show(result, console)
    return console.file.getvalue()


def _night(**changes):
    values = {
        "as_of": DAY, "status": "warning", "extract_dates": 1, "tables": (), "unreadable_files": 0, "scored": 3,
        "model_version": "v1", "stale": False, "training": None, "group_column": "ward", "groups": GROUPS,
        "min_group_size": 5, "observations": None, "errors": (NightError(DAY, 2, 7.77, 8.0, 0.9),), "report": "page",
        "warnings": ("3 rows were left out by keep and drop of [[source.files]]",), "seconds": {},
    }  # fmt: skip
    return NightSummary(**(values | changes))


def test_brackets_of_warnings_names_and_files_are_printed():
    assert "[[source.files]]" in " ".join(_shown(_night()).split())
    assert "[red]icu[/red]" in _shown(_night())
    unreadable = (UnreadableFile("labs[1].csv", "the column [x] is missing"),)
    ingested = [IngestSummary(DAY, 0, 0, 0, unreadable, ("see [source]",), {})]
    assert all(text in _shown(ingested) for text in ("labs[#].csv", "the column [x] is missing", "see [source]"))
    failed = BackfillSummary((), ((DAY, "correct [training]"),))
    assert f"{DAY} failed: correct [training]" in _shown(failed)


def test_small_counts_are_withheld_in_the_terminal_too():
    shown = _shown(_night())
    assert "<5 open stays scored with v1" in shown
    assert "7.77" not in shown
    assert not any(line.strip().startswith(("3 ", "2 ", "1 ")) for line in shown.splitlines())


def test_a_night_that_scored_nobody_says_so_first():
    nothing = NothingScored("empty", "nobody is in a bed", "If it is not empty, look at discharged_at.")
    first, second = _shown(_night(scored=0, model_version=None, groups=(), errors=(), nothing=nothing)).splitlines()[:2]
    assert first == f"Night of {DAY}: nobody was scored: nobody is in a bed"
    assert second.startswith("If it is not empty")


def test_a_comparison_is_read_at_80_columns():
    one = ModelScores("lstm_attention", 12.345, 13.456, 1.234, 123.45, -10.123, -0.123, 0.901, 123.45, 1234.5, 12.34,
                      -0.123, -10.234, 0.012)  # fmt: skip
    lines = _shown(Comparison(DAY, 100, 20, 300, 0.9, 3, (one,))).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.strip().startswith("lstm_attention")]
    assert rows == [
        ["lstm_attention", "12.345", "-0.123", "(-10.234", "to", "+0.012)", "90.1%", "123.45"],
        ["lstm_attention", "13.456", "1.234", "123.45", "-10.123", "-0.123", "1234.5", "12.34"],
    ]


def test_markdown_shows_names_as_they_are(full):  # noqa: F811
    report = replace(full, groups=(GroupForecast("a|b [c](d) <e>", 60, 9, 20, 28, 3.4),), warnings=("see [source]",))
    text = night_markdown(report)
    assert r"| a\|b \[c\](d) \<e\> | 60 | 9 | 20 | 28 |" in text
    assert r"see \[source\]" in text
    small = night_markdown(replace(full, groups=(GroupForecast("a", 2, 1, 1, 2, 3.4),), scored_stays=2))
    assert r"- \<5 open stays scored" in small
