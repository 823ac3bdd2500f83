"""What one night's page shows: aggregates only, never a stay or a patient."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from medlstm.evaluation.subgroups import SubgroupScore
from medlstm.sequences.row_ledger import Ledger


@dataclass(frozen=True)
class TableCounts:
    """Rows of one table that arrived for the night, and where they went."""

    table: str
    rows_in: int
    admitted: int
    quarantined: int
    exact_duplicates: int

    @property
    def unaccounted(self) -> int:
        return self.rows_in - self.admitted - self.quarantined - self.exact_duplicates


@dataclass(frozen=True)
class RuleRow:
    """Rows that one contract rule caught; `action` is quarantine, stop or warn."""

    table: str
    rule: str
    action: str
    rows: int
    description: str


@dataclass(frozen=True)
class GroupForecast:
    """Open stays of one group (a ward), and how many are expected to end within 24, 48 and 72 hours."""

    group: str
    open_stays: int
    leaving_24h: int
    leaving_48h: int
    leaving_72h: int
    median_remaining_days: float


@dataclass(frozen=True)
class NightError:
    """Error of the predictions of an earlier night, beside those of the constant median and of the Kaplan-Meier
    baseline, and beside what the record of the model that scored had promised: where the night is `settled` of all its
    stays, else of those that have ended since."""

    as_of: date
    stays: int
    mae_days: float
    median_mae_days: float
    coverage: float | None
    baseline_mae_days: float | None = None
    promised_mae_days: float | None = None
    settled: bool = False


@dataclass(frozen=True)
class LossPoint:
    """The losses after one epoch."""

    epoch: int
    training_loss: float
    validation_loss: float


@dataclass(frozen=True)
class ModelCard:
    """The model that scored the night, or would have if anybody had been there to score; `leaks` says of inputs that
    they were written down at the discharge. The promise is of so many settled nights and stays; of none where too few
    nights had been settled, and of stays that the model had not trained on instead."""

    version: str
    trained_as_of: date
    architecture: str
    head: str
    parameters: int
    training_stays: int
    censored_stays: int
    validation_mae_days: float
    median_validation_mae_days: float
    interval_coverage: float
    stale: bool
    note: str
    test_stays: int
    test_mae_days: float
    test_coverage: float
    subgroups: tuple[SubgroupScore, ...]
    test_baseline_mae_days: float | None = None
    promised_mae_days: float | None = None
    promise_nights: int = 0
    promise_stays: int = 0
    leaks: tuple[str, ...] = ()


@dataclass(frozen=True)
class NothingScored:
    """Why nobody was scored: nobody is in a bed (`empty`), there is no model yet (`waiting`), or what arrived does not
    allow it (`input`, `contract`), which is a failure; `reason` is a clause, `advice` sentences."""

    cause: Literal["empty", "waiting", "input", "contract"]
    reason: str
    advice: str

    @property
    def is_failure(self) -> bool:
        return self.cause in ("input", "contract")


@dataclass(frozen=True)
class NightReport:
    """All that the page shows: aggregates only, never a stay or a patient.

    `pairs` are (predicted, actual) remaining days of stays that have ended, unlabelled;
    `interval_coverage` is the nominal share (0.9); `unreadable_files` are (file, reason). `observations`: what became
    of all that the night may know; `left_out`: what the configuration leaves out of the date's files, in rows.
    `nothing` is there where nobody was scored; `stays_without_upper_bound` counts scored ones, and `backtested_nights`
    those of `nights` that were scored afterwards.
    """

    hospital_timezone: str
    as_of: date
    cutoff: datetime
    status: str
    warnings: tuple[str, ...]
    tables: tuple[TableCounts, ...]
    rules: tuple[RuleRow, ...]
    unreadable_files: tuple[tuple[str, str], ...]
    scored_stays: int
    group_column: str | None
    groups: tuple[GroupForecast, ...]
    nights: tuple[NightError, ...]
    pairs: tuple[tuple[float, float], ...]
    interval_coverage: float
    losses: tuple[LossPoint, ...]
    model: ModelCard | None
    top_variables: tuple[tuple[str, float], ...]
    min_group_size: int
    observations: Ledger | None = None
    left_out: tuple[tuple[str, int], ...] = ()
    stays_without_upper_bound: int = 0
    nothing: NothingScored | None = None
    backtested_nights: int = 0
