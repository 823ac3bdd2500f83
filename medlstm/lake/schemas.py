"""Names and Arrow schemas of the lake's tables, which users and other programs rely on."""

from collections.abc import Sequence

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
PROVENANCE = (
    pa.field("extract_date", pa.date32()),
    pa.field("source_file", pa.string()),
    pa.field("source_row", pa.int64()),
)
STAY_CORE = ("stay_id", "patient_id", "admitted_at", "discharged_at", "died")
OBSERVATION_CORE = ("stay_id", "observed_at", "variable", "value")
# Raw rows only: a line that does not fit its file's header; a length of stay in place of a discharge time; a time
# that is counted from the admission; a mark by which a source takes back a row that it sent before.
UNPARSED = "unparsed_line"
LOS_DAYS = "los_days"
MINUTES_AFTER_ADMISSION = "minutes_after_admission"
RETRACTED = "retracted"
TABLES = ("stays", "observations")
# The file that makes the shards of a sequences folder readable.
SEQUENCES_MANIFEST = "sequences.json"


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
        pa.field("remaining_los_days_mean", pa.float64()),
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
        pa.field("median_remaining_days", pa.float64()),
        pa.field("baseline_remaining_days", pa.float64()),
    ]
)


def admitted_schema(table: str, numeric: list[str], categorical: list[str]) -> pa.Schema:
    """The schema that the contracts write: `retracted` is true where the source takes back an earlier row."""
    schema = stays_schema(numeric, categorical) if table == "stays" else OBSERVATIONS_SCHEMA
    return schema.append(pa.field(RETRACTED, pa.bool_()))


def raw_columns(table: str, numeric: list[str], categorical: list[str]) -> tuple[str, ...]:
    """The text columns of a raw table, whether or not a source fills them."""
    if table == "stays":
        return (*STAY_CORE, LOS_DAYS, *numeric, *categorical, RETRACTED, UNPARSED)
    return (*OBSERVATION_CORE, MINUTES_AFTER_ADMISSION, RETRACTED, UNPARSED)


def raw_schema(columns: Sequence[str]) -> pa.Schema:
    """The schema of raw rows: every value as the text that was received, plus where it came from."""
    return pa.schema([*(pa.field(name, pa.string()) for name in columns), *PROVENANCE])


def quarantine_schema(raw_names: Sequence[str]) -> pa.Schema:
    """The schema of quarantined rows: the raw columns, the rule that each was filed by, and all its reasons."""
    provenance = {field.name for field in PROVENANCE}
    texts = [name for name in raw_names if name not in provenance]
    return pa.schema([*raw_schema(texts), pa.field("rule", pa.string()), pa.field("reason", pa.string())])


def dictionary_schema(schema: pa.Schema) -> pa.Schema:
    """The same schema with text as dictionaries, for writers: readers see text all the same."""
    text = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([field.with_type(text) if pa.types.is_string(field.type) else field for field in schema])
