"""The table of who is expected to leave, as it may be shown: small counts withheld, in rows and totals alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medlstm.report.content import GroupForecast

DASH = "–"


@dataclass(frozen=True)
class GroupRow:
    """One row of the group table as it is shown, small counts hidden."""

    name: str
    counts: tuple[str, ...]
    median_remaining: str


@dataclass(frozen=True)
class GroupTable:
    """The rows, and the totals of their counts (in a bed, leaving within 24, 48, 72 hours), as they are shown."""

    rows: tuple[GroupRow, ...]
    totals: tuple[str, str, str, str]

    @property
    def patients(self) -> str:
        """Patients in a bed: a number, or `<5` where they are fewer than may be shown."""
        return self.totals[0]


def group_table(groups: Sequence[GroupForecast], smallest: int) -> GroupTable:
    """The table with counts below `smallest` hidden, and others too where a small one could be worked out from them."""
    columns = [_shown_column([_counts(group)[column] for group in groups], smallest) for column in range(4)]
    rows = []
    for place, group in enumerate(groups):
        # The median of a handful of stays is close to a single patient's prediction.
        median = days_text(group.median_remaining_days, 1) if group.open_stays >= max(smallest, 1) else DASH
        shown = tuple(cells[place] for cells, _ in columns)
        rows.append(GroupRow(group.group or "not recorded", shown, median))
    in_bed, in_24h, in_48h, in_72h = (total for _, total in columns)
    return GroupTable(tuple(rows), (in_bed, in_24h, in_48h, in_72h))


def group_rows(groups: Sequence[GroupForecast], smallest: int) -> list[GroupRow]:
    """The rows of `group_table`."""
    return list(group_table(groups, smallest).rows)


def hide_small(value: int, smallest: int) -> str:
    """A count of patients, `<5` for one of 1 to 4 where 5 is the smallest that may be shown."""
    return f"<{smallest}" if 0 < value < smallest else f"{value:,}"


def days_text(value: float | None, decimals: int = 2) -> str:
    """Days as they are shown; a dash where there are none."""
    return f"{value:,.{decimals}f}" if value is not None and math.isfinite(value) else DASH


def _counts(group: GroupForecast) -> tuple[int, int, int, int]:
    return group.open_stays, group.leaving_24h, group.leaving_48h, group.leaving_72h


def _shown_column(values: Sequence[int], smallest: int) -> tuple[list[str], str]:
    """A column as text and its total.

    What is hidden adds up to the total less what is shown. Where that sum leaves one possibility, the next smallest
    count is withheld as well, and where there is none left, the total.
    """
    shown = [hide_small(value, smallest) for value in values]
    total = sum(values)
    small = [value for value in values if 0 < value < smallest]
    others = sorted((place for place, value in enumerate(values) if value >= smallest), key=lambda place: values[place])
    withheld: list[int] = []
    while small and total >= smallest and _is_certain(small, [values[place] for place in withheld], smallest):
        if not others:
            return shown, f"{smallest}+"
        withheld.append(others.pop(0))
        shown[withheld[-1]] = f"{smallest}+"
    return shown, hide_small(total, smallest)


def _is_certain(small: Sequence[int], withheld: Sequence[int], smallest: int) -> bool:
    """Whether the sum of counts of 1 to `smallest` - 1 and of withheld ones of at least `smallest` tells each."""
    hidden = sum(small) + sum(withheld)
    if hidden == len(small) + smallest * len(withheld):
        return True
    return not withheld and (len(small) == 1 or hidden == len(small) * (smallest - 1))
