"""What is odd about the values of a date as a whole: times without an hour, statics that nobody can read."""

from datetime import date

from medlstm.contracts.results import DateCount
from medlstm.contracts.typed_columns import IS_A_DAY
from medlstm.contracts.volume_and_freshness import FeedFinding
from medlstm.settings.workspace import Config

_DAYS = tuple(IS_A_DAY.format(name=name) for name in ("admitted_at", "discharged_at", "observed_at"))


def value_findings(table: str, day: date, count: DateCount, config: Config) -> tuple[FeedFinding, ...]:
    """Counts of dates without a time (as `contracts.day_action` says), and statics that are missing in too large a
    share of the rows because nobody can read them."""
    contracts = config.contracts
    found = []
    for rule, (action, rows, description) in count.rules.items():
        counted = f"{day}: {table}: {rows} of {count.rows_in} rows: {description}"
        if rule in _DAYS and rows and contracts.day_action != "off":
            found.append(FeedFinding(counted, contracts.day_action))
        many = rows >= contracts.min_quarantined_rows and rows > contracts.max_quarantined_share * count.rows_in
        if action == "set_missing" and many:
            found.append(FeedFinding(counted, "warn"))
    return tuple(found)
