"""Names and Arrow schemas of the lake's tables, which users and other programs rely on."""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
PROVENANCE = (
    pa.field("extract_date", pa.date32()),
    pa.field("source_file", pa.string()),
    pa.field("source_row", pa.int64()),
)
# A raw stay may also carry `los_days` (text): the source gives a length instead of a discharge time.
STAY_CORE = ("stay_id", "patient_id", "admitted_at", "discharged_at", "died")
OBSERVATION_CORE = ("stay_id", "observed_at", "variable", "value")
# Raw rows only: a line that does not fit its file's header, and a time that is counted from the admission.
UNPARSED = "unparsed_line"
OFFSET_HOURS = "hours_after_admission"


def stays_schema(numeric: list[str], categorical: list[str]) -> pa.Schema:
    """The schema of admitted stays with the workspace's static features (numeric float64, categories string)."""
    return pa.schema(
        [
            pa.field("stay_id", pa.string()),
            pa.field("patient_id", pa.string()),
            pa.field("admitted_at", TIMESTAMP),
            pa.field("discharged_at", TIMESTAMP),
            pa.field("died", pa.bool_()),
            *(pa.field(name, pa.float64()) for name in numeric),
            *(pa.field(name, pa.string()) for name in categorical),
            *PROVENANCE,
        ]
    )


OBSERVATIONS_SCHEMA = pa.schema(
    [
        pa.field("stay_id", pa.string()),
        pa.field("observed_at", TIMESTAMP),
        pa.field("variable", pa.string()),
        pa.field("value", pa.float64()),
        *PROVENANCE,
    ]
)


PREDICTIONS_SCHEMA = pa.schema(
    [
        pa.field("stay_id", pa.string()),
        pa.field("as_of", pa.date32()),
        pa.field("elapsed_days", pa.float64()),
        pa.field("remaining_los_days", pa.float64()),
        pa.field("remaining_los_days_lower", pa.float64()),
        pa.field("remaining_los_days_upper", pa.float64()),
        pa.field("interval_coverage", pa.float64()),
        pa.field("los_days", pa.float64()),
        pa.field("p_discharge_24h", pa.float64()),
        pa.field("p_discharge_48h", pa.float64()),
        pa.field("p_discharge_72h", pa.float64()),
        pa.field("mortality_risk", pa.float64()),
        pa.field("model_version", pa.string()),
        pa.field("stale", pa.bool_()),
        pa.field(
            "reasons",
            pa.list_(pa.struct([pa.field("variable", pa.string()), pa.field("contribution_days", pa.float64())])),
        ),
        pa.field("input_hash", pa.string()),
        pa.field("baseline_remaining_days", pa.float64()),
    ]
)


def raw_schema(columns: list[str]) -> pa.Schema:
    """The schema of raw rows: every value as the text that was received, plus where it came from."""
    return pa.schema([*(pa.field(name, pa.string()) for name in columns), *PROVENANCE])
