"""Observations that meet no stay: few are usual, many are a fault of the delivery or of the mapping."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from medlstm.errors import ContractStopped
from medlstm.sequences.row_ledger import Ledger
from medlstm.settings.workspace import Config

_FEWEST_DATES = 3
# So much above the usual share is news, unless it is next to nothing.
_FAR_ABOVE, _NEXT_TO_NOTHING = 3.0, 0.01


@dataclass(frozen=True)
class _Share:
    """Observations of some extract dates, and those among them that meet no stay."""

    dates: str
    rows: int
    without_stay: int

    @property
    def value(self) -> float:
        return self.without_stay / self.rows if self.rows else 0.0

    def __str__(self) -> str:
        return f"{self.dates}: {self.without_stay} of {self.rows} observations ({self.value:.1%}) meet no stay"


def orphan_warnings(ledger: Ledger, nights: Sequence[date], as_of: date, config: Config) -> tuple[str, ...]:
    """What a night has to say of the observations that came since the night before it (`nights` have been built).

    Raises ContractStopped where their share without a stay is above contracts.stop_orphan_share.
    """
    limits = config.contracts
    before = max((night for night in nights if night < as_of), default=date.min)
    new = [day for day in ledger.dates if before < date.fromisoformat(day) <= as_of]
    share = max((_pooled(ledger, new), _pooled(ledger, new[-1:])), key=lambda one: one.value)
    what_to_do = (
        "compare the stay_id of both tables in lake/stays and lake/observations (another identifier? a stays file that "
        "is missing or refused? rows that belong to no stay, which keep and drop can leave out?)"
    )
    if share.value > limits.stop_orphan_share and share.without_stay >= limits.min_quarantined_rows:
        raise ContractStopped(
            f"{share}, above contracts.stop_orphan_share = {limits.stop_orphan_share}. Nothing was scored; "
            f"{what_to_do}, then correct the source, the mapping or the limit"
        )
    if share.value > limits.max_orphan_share:
        return (f"{share}, above contracts.max_orphan_share = {limits.max_orphan_share}; {what_to_do}",)
    usual = _usual_share(ledger, [day for day in ledger.dates if day not in new], config)
    if usual is not None and share.value > max(_FAR_ABOVE * usual, _NEXT_TO_NOTHING):
        return (f"{share}, usual are {usual:.1%}; {what_to_do}",)
    return ()


def _pooled(ledger: Ledger, days: Sequence[str]) -> _Share:
    rows, without_stay = (sum(ledger.dates[day][place] for day in days) for place in (0, 1))
    return _Share(_named(days), rows, without_stay)


def _named(days: Sequence[str]) -> str:
    return "" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _usual_share(ledger: Ledger, earlier: Iterable[str], config: Config) -> float | None:
    """The median of the dates before, None where there are too few of them."""
    shares = [_pooled(ledger, [day]).value for day in earlier if ledger.dates[day][0]]
    newest = shares[-config.contracts.volume_dates :]
    return statistics.median(newest) if len(newest) >= _FEWEST_DATES else None
