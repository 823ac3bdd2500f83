"""What medlstm.toml says of the source, one model per format."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

TimeUnit = Literal["timestamp", "minutes", "hours", "days"]
LengthUnit = Literal["minutes", "hours", "days"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CsvFileMapping(Section):
    """How one kind of file in a landing folder becomes rows of one table.

    `columns` maps a canonical name (stay_id, admitted_at, value, age …) to the file's column; a
    canonical column that is not named is looked up under its own name. A wide observations file turns
    each column of `variables` into rows. `time_unit` other than timestamp: `observed_at` counts from the
    admission. `generate_stay_ids`: each row of a stays file is a stay of its own, named by file and row.
    """

    pattern: str
    table: Literal["stays", "observations"]
    layout: Literal["long", "wide"] = "long"
    columns: dict[str, str] = {}
    variables: list[str] = []
    time_unit: TimeUnit = "timestamp"
    generate_stay_ids: bool = False
    los_column: str | None = None
    los_unit: LengthUnit = "days"

    @model_validator(mode="after")
    def _layout_fits_table(self) -> "CsvFileMapping":
        if self.table == "stays" and (self.layout == "wide" or self.variables):
            raise ValueError("layout and variables belong to table = \"observations\" only")
        if self.table == "observations" and (self.los_column or self.generate_stay_ids):
            raise ValueError("los_column and generate_stay_ids belong to table = \"stays\" only")
        if self.layout == "wide" and not self.variables:
            raise ValueError("layout = \"wide\" needs variables = [column names]")
        return self


class CsvSource(Section):
    format: Literal["csv"] = "csv"
    files: Annotated[list[CsvFileMapping], Field(min_length=1)]


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


Source = Annotated[CsvSource | Physionet2012Source | WideParquetSource, Field(discriminator="format")]
FORMATS = ("csv", "physionet2012", "wide_parquet")
