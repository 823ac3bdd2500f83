import io

import pytest
from rich.console import Console

from flows.command_line import printing
from flows.command_line.progress import progress_lines


def _printed(content, width=80):
    console = printing.terminal()
    console.file, console.width = io.StringIO(), width
    console.print(content)
    return console.file.getvalue()


@pytest.mark.parametrize("text", ["left out by keep of [[source.files]]", "[bold]ward[/bold]", "[/]", ":smile:"])
def test_brackets_and_colons_of_names_and_messages_are_printed_as_they_are(text):
    assert text in _printed(text)
    assert text in _printed(printing.table((text, "n"), [(text, "1")], title=text))
    assert _printed(printing.table((text, "n"), [(text, "1")], title=text)).count(text) == 3


def test_what_a_terminal_would_act_on_is_not_passed_on():
    assert printing.printable("ward\x1b[31m\x07 é ½\n") == "ward\ufffd[31m\ufffd é ½\n"
    assert "\x1b" not in _printed(printing.table(("\x1b[2J",), [("\x1b[31mred",)]))


def test_a_run_into_a_file_tells_each_step_and_now_and_then_how_far_it_is():
    lines, now = [], [0.0]
    listener = progress_lines(lines.append, lambda: now[0])
    for seconds, step, done, total in (
        (0, "ingest", 0, 1), (1, "ingest", 1, 4), (17, "ingest", 2, 4), (18, "ingest", 3, 4), (20, "ingest", 4, 4),
        (20, "ingest", 1, 1), (21, "score", 0, 1), (23, "score", 1, 1),
    ):  # fmt: skip
        now[0] = seconds
        listener(step, done, total)
    assert lines == [
        "ingest: begun", "ingest: 2 of 4, 17 s so far", "ingest: 4 of 4, 20.0 s",
        "score: begun", "score: 1 of 1, 2.0 s",
    ]  # fmt: skip


def test_a_narrow_table_of_seven_numbers_fits_a_terminal():
    heading = ("model", "RMSE", "MSLE", "MAPE", "R2", "kappa", "s to score")
    row = ("lstm_attention", "12.345", "10.123", "123.45", "-10.123", "-0.123", "12.34")
    made = printing.narrow_table(heading, [row])
    assert Console(width=200).measure(made).maximum <= 80
    assert all(cell in _printed(made) for cell in (*heading, *row))
