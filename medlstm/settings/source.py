"""What medlstm.toml says of the source, one model per format."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from medlstm.settings.field_types import (
    Delimiter,
    Encoding,
    LengthUnit,
    Quoting,
    ReferenceName,
    Section,
    TimeUnit,
    Timezone,
)
from medlstm.settings.join_section import BetweenSection, JoinSection
from medlstm.values.missing_texts import NULL_TEXTS
from medlstm.values.units import why_not_convertible


def _as_masks(value: Any) -> Any:
    return dict.fromkeys(value, MASKED_AGE) if isinstance(value, list) else value


# Ages of 90 and above are identifying: what a mask stands for that names no number.
MASKED_AGE = 90.0
MaskedAge = Annotated[float, Field(ge=0, le=120)]


class KnownAge(Section):
    """Where the age is told as it was in one year rather than by a birth: the columns of `age` and of that `year`."""

    age: str
    year: str


class TableMapping(Section):
    """How rows with named columns become rows of one table.

    `columns` maps a canonical name (stay_id, admitted_at, value, age …) to the received column; a canonical column
    that is not named is looked up under its own name. `birth_date` in `columns` gives the feature `age`, as
    `known_age` does; `died_at` gives `died`: a death from the day of the admission to a day after the discharge.
    `fallbacks`: canonical name to the received column that counts where the one in `columns` is empty. A wide
    observations table turns each column of `variables` into rows. `time_unit` other than timestamp: `observed_at`
    counts from the admission. `generate_stay_ids`: each row of stays is a stay of its own, named by file and row.

    `age_masks`: texts by which the sender hides ages, to the age that is meant, or a list of texts that all mean 90; a
    birth date may be such a text. `constants`: canonical name to a text for all rows. `spellings`: canonical name to
    {as received: as meant}. `keep` and `drop`: received column to the texts of rows to take, or to leave out (counted,
    never silent); "" is an empty one. `variable_codes`: the variable is told by LOINC codes, named as
    values/reference/variables.csv does where `spellings` do not; `known_variables_only` leaves out, counted, rows whose
    variable neither they nor that table name. `without_stay = "leave_out"`: so are rows that name no stay, and find
    none by a join.
    `retracted_when`: received column to the texts that mark a row as entered in error: it takes back the
    row of the same key that came before (`retracted` in `columns`: a column that is true for such a row).
    `snapshot`: each delivery of stays lists all that are open; one that the next no longer lists has `vanished`: it
    ended, or was withdrawn. `time_formats`: strptime formats, epoch_seconds or epoch_milliseconds, tried in turn before
    ISO 8601. `timezone`: of times without an offset, when it is not the workspace's. `units`: variable to the unit it
    is received in; `unit_column`: the column that holds each row's unit (long layout). `decimal_comma`: numbers such as
    37,5 and 1.234,5 and, of thousands, 245.000. `null_texts`: words that stand for a missing time, number, identifier
    or category.
    """

    table: Literal["stays", "observations"]
    layout: Literal["long", "wide"] = "long"
    columns: dict[str, str] = {}
    fallbacks: dict[str, str] = {}
    variables: list[str] = []
    variable_codes: Literal["loinc"] | None = None
    known_variables_only: bool = False
    without_stay: Literal["quarantine", "leave_out"] = "quarantine"
    known_age: KnownAge | None = None
    time_unit: TimeUnit = "timestamp"
    generate_stay_ids: bool = False
    los_column: str | None = None
    los_unit: LengthUnit = "days"
    age_masks: Annotated[dict[str, MaskedAge], BeforeValidator(_as_masks)] = {}
    constants: dict[str, str] = {}
    spellings: dict[str, dict[str, str]] = {}
    keep: dict[str, list[str]] = {}
    drop: dict[str, list[str]] = {}
    retracted_when: dict[str, list[str]] = {}
    snapshot: bool = False
    vanished: Literal["ended", "withdrawn"] = "ended"
    time_formats: list[str] = []
    timezone: Timezone | None = None
    units: dict[str, str] = {}
    unit_column: str | None = None
    decimal_comma: bool = False
    null_texts: list[str] = list(NULL_TEXTS)

    @model_validator(mode="after")
    def _layout_fits_table(self) -> "TableMapping":
        if self.table == "stays" and (self.layout == "wide" or self.variables or self.units or self.unit_column):
            raise ValueError("layout, variables, units and unit_column belong to table = \"observations\" only")
        if self.table == "observations" and (self.los_column or self.generate_stay_ids):
            raise ValueError("los_column and generate_stay_ids belong to table = \"stays\" only")
        of_long = self.variable_codes or self.known_variables_only
        if of_long and (self.table == "stays" or self.layout == "wide"):
            raise ValueError("variable_codes and known_variables_only belong to observations with layout = \"long\"")
        if self.table == "stays" and self.without_stay == "leave_out":
            raise ValueError("without_stay belongs to table = \"observations\" only")
        if self.table == "observations" and self.known_age:
            raise ValueError("known_age belongs to table = \"stays\" only")
        if "died_at" in self.columns and ("died" in self.columns or self.los_column):
            raise ValueError("columns.died_at needs discharged_at, and excludes columns.died and los_column")
        if self.known_age and {"age", "birth_date"} & set(self.columns):
            raise ValueError("known_age excludes columns.age and columns.birth_date")
        unnamed = sorted(set(self.fallbacks) - set(self.columns))
        if unnamed:
            raise ValueError(f"fallbacks.{unnamed[0]} stands in for columns.{unnamed[0]}, which is not set")
        if self.snapshot and (self.table == "observations" or self.generate_stay_ids):
            raise ValueError("snapshot = true belongs to table = \"stays\" with identifiers of their own")
        if self.layout == "wide" and not self.variables:
            raise ValueError("layout = \"wide\" needs variables = [column names]")
        if self.layout == "wide" and self.unit_column:
            raise ValueError("unit_column belongs to layout = \"long\"; name the units of a wide file in units")
        return self

    @field_validator("units")
    @classmethod
    def _convertible(cls, units: dict[str, str]) -> dict[str, str]:
        for variable, unit in units.items():
            reason = why_not_convertible(variable, unit)
            if reason:
                raise ValueError(reason)
        return units


class CsvFileMapping(TableMapping):
    """A kind of file in a landing folder, by a pattern of its path, or of a folder's, there; upper and lower case are
    alike. `encoding` as Python names it. `quoting = "none"`: quotes enclose no fields but are characters as any others.
    `keep_as` is that of every join with the same pattern.
    """

    pattern: str
    keep_as: ReferenceName | None = None
    delimiter: Delimiter = ","
    encoding: Encoding = "utf-8"
    quoting: Quoting = "standard"
    joins: list[JoinSection] = []


class CsvSource(Section):
    format: Literal["csv"] = "csv"
    files: Annotated[list[CsvFileMapping], Field(min_length=1)]

    @model_validator(mode="after")
    def _kept_tables_are_told_apart(self) -> "CsvSource":
        joins = [with_kept(join, self.files) for mapping in self.files for join in mapping.joins]
        for mapping in self.files:
            if mapping.keep_as and not any(join.pattern == mapping.pattern for join in joins):
                raise ValueError(f"keep_as = {mapping.keep_as!r}: no join has the pattern {mapping.pattern!r}")
        patterns: dict[str, str] = {}
        for join in joins:
            if join.key and not join.keep_as:
                raise ValueError(f"key of the join {join.name}: belongs to keep_as")
            if join.keep_as and patterns.setdefault(join.keep_as, join.pattern) != join.pattern:
                raise ValueError(f"keep_as = {join.keep_as!r}: kept of files of two patterns, one of them "
                                 f"{join.pattern!r}; give each a name of its own")  # fmt: skip
        return self


def with_kept(join: JoinSection, mappings: list[CsvFileMapping]) -> JoinSection:
    """The join with the `keep_as` that its pattern's own mapping gives it, if any."""
    kept = join.keep_as or next((one.keep_as for one in mappings if one.pattern == join.pattern), None)
    return join.model_copy(update={"keep_as": kept})


class Physionet2012Source(Section):
    format: Literal["physionet2012"]


class WideParquetSource(Section):
    """Hourly tables as YAIB and ricu write them: `dynamic` (stay_id, time, one column per variable), `static` (one
    row a stay) and, for past stays, `outcomes` (the remaining hours at each time).

    `columns` maps canonical names of stays (admitted_at, discharged_at, patient_id, died, a feature) to columns of
    the static table. `time` is a duration or a number of `time_unit` since the admission, or a timestamp.
    `outcome_cap_hours`: an outcome at or above it is not a length but a limit.
    """

    format: Literal["wide_parquet"]
    dynamic: str = "dyn*.parquet"
    static: str = "sta*.parquet"
    outcomes: str = "outc*.parquet"
    stay_id: str = "stay_id"
    time: str = "time"
    time_unit: LengthUnit = "hours"
    outcome: str = "label"
    outcome_cap_hours: Annotated[float, Field(gt=0)] | None = None
    columns: dict[str, str] = {}


class FhirSource(Section):
    """FHIR R4 or R5 Bulk Data: `files` are NDJSON, of one resource type each, or of Bundles.

    `encounter_classes`: the classes (v3 ActCode) that are stays, all if empty. `codes`: further LOINC codes, or
    system|code, to variables. `conditions`: patterns of condition codes (* and ?) to names of diseases.
    """

    format: Literal["fhir"]
    files: str = "*.ndjson*"
    encounter_classes: list[str] = ["IMP", "ACUTE", "NONAC"]
    codes: dict[str, str] = {}
    conditions: dict[str, str] = {}


class MedsSource(Section):
    """A MEDS 0.4 dataset: `data` are its shards and `metadata` its codes.parquet, as paths within the day's folder.

    Codes are named by patterns (* and ?), which a code or one of its parents in codes.parquet may fit; the first fit
    counts. `admission` begins a stay and `discharge` ends it; `variables` maps patterns to variables; `statics` maps
    features to patterns, whose value is the number, or else the text that the pattern's last * stands for.
    `stay_column`: an extra column that names the stay of a row, such as hadm_id.
    """

    format: Literal["meds"]
    data: str = "*data/*.parquet"
    metadata: str = "*metadata/codes.parquet"
    admission: Annotated[list[str], Field(min_length=1)] = ["HOSPITAL_ADMISSION*"]
    discharge: Annotated[list[str], Field(min_length=1)] = ["HOSPITAL_DISCHARGE*"]
    birth: str = "MEDS_BIRTH"
    death: str = "MEDS_DEATH"
    statics: dict[str, list[str]] = {"gender": ["GENDER//*"]}
    variables: dict[str, str] = {}
    stay_column: str | None = None


class SqlTable(TableMapping):
    """A query whose rows become rows of one table; `name` names it in messages and in the landing folder.

    The query may use :extract_date and :next_date (dates), and says an order, so that equal data give equal rows.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    query: str

    @field_validator("query")
    @classmethod
    def _is_ordered(cls, value: str) -> str:
        if not re.search(r"\border\s+by\b", value, re.IGNORECASE):
            raise ValueError("needs an ORDER BY over columns that tell rows apart, so that equal data give equal rows")
        return value


class SqlSource(Section):
    """Queries against a database, whose address (a SQLAlchemy URL) is one of: `url`, without a password;
    `url_variable`, an environment variable that holds it; `url_secret`, a Prefect Secret block that holds it.
    `password_variable`: an environment variable with the password for `url`.
    """

    format: Literal["sql"]
    url: str | None = None
    password_variable: str | None = None
    url_variable: str | None = None
    url_secret: str | None = None
    tables: Annotated[list[SqlTable], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_address_and_no_password(self) -> "SqlSource":
        if sum(one is not None for one in (self.url, self.url_variable, self.url_secret)) != 1:
            raise ValueError("say one of url, url_variable and url_secret")
        if self.password_variable and not self.url:
            raise ValueError("password_variable belongs to url")
        if len({one.name for one in self.tables}) < len(self.tables):
            raise ValueError("two tables have the same name")
        return self

    @field_validator("url")
    @classmethod
    def _has_no_password(cls, value: str | None) -> str | None:
        if value is not None and re.search(r"://[^/@]*:[^/@]*@|[?&](password|passwd|pwd)=", value, re.IGNORECASE):
            raise PydanticCustomError("password_in_file", "has a password; keep it in the environment "
                                      "(password_variable) or in a Prefect Secret block (url_secret)")  # fmt: skip
        return value


Source = Annotated[
    CsvSource | Physionet2012Source | WideParquetSource | FhirSource | MedsSource | SqlSource,
    Field(discriminator="format"),
]
FORMATS = ("csv", "physionet2012", "wide_parquet", "fhir", "meds", "sql")
# The tables within a source's settings, by their names in the file, for error messages.
SOURCE_PARTS: dict[tuple[str, ...], type[Section]] = {
    ("source", "files"): CsvFileMapping,
    ("source", "files", "known_age"): KnownAge,
    ("source", "tables", "known_age"): KnownAge,
    ("source", "files", "joins"): JoinSection,
    ("source", "files", "joins", "between"): BetweenSection,
    ("source", "tables"): SqlTable,
}
