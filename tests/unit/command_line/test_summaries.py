import io
from datetime import date, timedelta

from flows.command_line.printing import terminal
from flows.command_line.summaries import show
from flows.nightly import NightSummary
from medlstm.registry.nightly_training import TrainSummary
from medlstm.report.content import NightError

DAY = date(2026, 3, 20)


def _shown(result, width=80):
    console = terminal()
    console.file, console.width = io.StringIO(), width
    show(result, console)
    return console.file.getvalue()


def test_each_earlier_night_is_one_line_of_a_terminal_of_80_columns():
    errors = tuple(NightError(DAY - timedelta(days=n), 120 + n, 11.55, 12.22, 0.88, 12.16, 12.27) for n in range(1, 4))
    night = NightSummary(
        as_of=DAY, status="done", extract_dates=1, tables=(), unreadable_files=0, scored=9, model_version="v1",
        stale=False, training=None, group_column=None, groups=(), min_group_size=5, observations=None, errors=errors,
        report="page", warnings=(), seconds={},
    )  # fmt: skip
    shown = _shown(night)
    assert all(any(str(one.as_of) in line and str(one.stays) in line for line in shown.splitlines()) for one in errors)
    assert max(map(len, shown.splitlines())) <= 80


def test_epochs_of_all_members_are_told_from_the_most_that_one_may_have():
    trained = TrainSummary(DAY, "v1", True, "promoted", 439, 12, 100, None, "members 5, max_epochs 20")
    assert "100 epochs in all (members 5, max_epochs 20)" in " ".join(_shown(trained).split())
