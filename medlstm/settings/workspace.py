"""The workspace's medlstm.toml as pydantic models: unknown keys are refused, units live in names."""

import os
import tomllib
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from medlstm.errors import ConfigError
from medlstm.settings.features_section import FeaturesSection
from medlstm.settings.field_types import Timezone
from medlstm.settings.model_names import model_names
from medlstm.settings.source import FORMATS, SOURCE_PARTS, Section, Source

CONFIG_NAME = "medlstm.toml"
ENVIRONMENT_PREFIX = "MEDLSTM_"


class WorkspaceSection(Section):
    """`memory_limit_gb` bounds what ingest, contracts, as-of views and binning hold, whatever the data's size."""

    timezone: Timezone = "UTC"
    cutoff_hour: Annotated[int, Field(ge=1, le=24)] = 24
    memory_limit_gb: Annotated[float, Field(ge=1, le=4096)] = 2.0


class ContractsSection(Section):
    """A share above the maximum stops the night, unless it is a mere handful: fewer than `min_quarantined_rows`.

    `max_share_by_table` overrides the maximum for single tables. A feed is low when it has less than
    `min_volume_share` of the rows that were usual (the median of the last `volume_dates` dates), and silent when its
    newest row is more than `max_silence_hours` older than the end of the extract date. A night warns where more than
    `max_orphan_share` of the observations that are new to it meet no stay, and stops above `stop_orphan_share`.
    A snapshot with less than `min_snapshot_share` of the stays that were usual lets nobody have left, and open stays
    without a row for `max_silent_days` are counted in a warning. `day_action`: whether to say how many times came as
    dates without a time. `data_docs` writes Great Expectations' pages too, which load their looks from the internet
    when they are opened.
    """

    max_quarantined_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    max_share_by_table: dict[Literal["stays", "observations"], Annotated[float, Field(ge=0, le=1)]] = {}
    min_quarantined_rows: Annotated[int, Field(ge=1)] = 10
    volume_action: Literal["warn", "stop", "off"] = "warn"
    min_volume_share: Annotated[float, Field(gt=0, le=1)] = 0.34
    volume_dates: Annotated[int, Field(ge=3, le=365)] = 14
    freshness_action: Literal["warn", "stop", "off"] = "warn"
    max_silence_hours: Annotated[float, Field(gt=0, le=8760)] = 36
    max_orphan_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    stop_orphan_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_snapshot_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    max_silent_days: Annotated[int, Field(ge=1, le=3650)] = 30
    day_action: Literal["warn", "stop", "off"] = "warn"
    suites_folder: str | None = None
    data_docs: bool = False


class SequencesSection(Section):
    """`steps = "single"` is for data with no time column: one step per stay, at admission.

    A stay that lasts longer than `max_hours` is cut to its newest hours. Keep it longer than stays last: of a stay that
    has ended, training would see which hours are missing, and so how long it went on, which no night can know. What was
    seen up to `pre_admission_hours` before the admission (in the emergency room, or on that day) counts in the first
    step. `by_arrival` false places what came late as if it had come in time, as no night saw it; it is there to measure
    what that costs.
    """

    steps: Literal["binned", "single"] = "binned"
    bin_hours: Annotated[int, Field(ge=1, le=24)] = 1
    max_hours: Annotated[int, Field(ge=1, le=8760)] = 8760
    pre_admission_hours: Annotated[float, Field(ge=0, le=8760)] = 24
    by_arrival: bool = True
    shards: Annotated[int, Field(ge=1, le=1024)] = 4


class ModelSection(Section):
    """What is left out is chosen from the data: `members` and `hidden_units` by the number of stays (see
    `medlstm.training.sizes`), `mortality` by whether enough deaths are known, `sharpness` on stays that no member
    trained on.

    `horizon_days`: a longer remaining stay counts as that long. `hazard_bins`: how finely days are told apart.
    `sharpness`: how far an averaged distribution is moved away from the usual one (1: not at all)."""

    name: str = "blend"
    hidden_units: Annotated[int, Field(ge=1, le=4096)] | None = None
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    head: Literal["hazard", "quantile", "smooth_log", "mse", "mae", "msle"] = "hazard"
    supervise: Literal["every_step", "last_step"] = "every_step"
    inputs: Literal["clinical", "plain"] = "clinical"
    summaries: bool = True
    mortality: bool | None = None
    hazard_bins: Annotated[int, Field(ge=2, le=200)] = 24
    horizon_days: Annotated[float, Field(gt=0, le=3650)] | None = None
    sharpness: Annotated[float, Field(ge=0.5, le=3)] | None = None
    members: Annotated[int, Field(ge=1, le=32)] | None = None

    @field_validator("name")
    @classmethod
    def _known_name(cls, value: str) -> str:
        if value not in model_names():
            raise ValueError(f"must be one of {', '.join(model_names())}")
        return value


class TrainingSection(Section):
    """`min_stays` counts ended stays of the training split: those of the other splits come on top.
    `retrain_every_days` counts from the training night of the last model, not from the calendar. `max_epochs`,
    `table_rows` (rows that trees and ridge are fitted on) and `processes` (members that are fitted at a time) follow
    from the data where they are left out (see `medlstm.training.sizes`). A challenger may be worse than the champion by
    `promotion_margin_share` of its error (see `medlstm.registry.promotion`)."""

    seed: int = 0
    retrain_every_days: Annotated[int, Field(ge=1, le=3650)] = 7
    min_stays: Annotated[int, Field(ge=10)] = 100
    promotion_margin_share: Annotated[float, Field(ge=0, le=1)] = 0.05
    optimizer: Literal["adamw", "adam"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.002
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.05
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    max_epochs: Annotated[int, Field(ge=1, le=10000)] | None = None
    patience_epochs: Annotated[int, Field(ge=1, le=1000)] = 6
    table_rows: Annotated[int, Field(ge=100, le=100_000_000)] | None = None
    processes: Annotated[int, Field(ge=1, le=256)] | None = None
    max_minutes: Annotated[float, Field(gt=0, le=10080)] = 60
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    mortality_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    lab_cutoff_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    observation_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    calibration_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    test_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    cpu_threads: Annotated[int, Field(ge=1, le=256)] = 1


class ScoringSection(Section):
    interval_coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    top_reasons: Annotated[int, Field(ge=0, le=20)] = 3
    group_column: str | None = None


class ReportSection(Section):
    min_group_size: Annotated[int, Field(ge=1, le=100)] = 5


class ScheduleSection(Section):
    cron: str = "30 2 * * *"


class ExecutionSection(Section):
    """Where ingest, validate and preprocess run: in the process of the night, or on the workers of a Dask cluster, all
    of which see the workspace under the same path. `dask_address` is that of its scheduler."""

    task_runner: Literal["local", "dask"] = "local"
    dask_address: Annotated[str, Field(pattern=r"^(tcp|tls)://[^\s/]+:\d+$")] | None = None

    @model_validator(mode="after")
    def _address_for_dask(self) -> "ExecutionSection":
        if self.task_runner == "dask" and self.dask_address is None:
            raise ValueError('task_runner = "dask" needs dask_address = "tcp://HOST:PORT"')
        return self


class Config(Section):
    """Everything that medlstm.toml may say."""

    workspace: WorkspaceSection = WorkspaceSection()
    source: Source
    features: FeaturesSection = FeaturesSection()
    contracts: ContractsSection = ContractsSection()
    sequences: SequencesSection = SequencesSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    scoring: ScoringSection = ScoringSection()
    report: ReportSection = ReportSection()
    schedule: ScheduleSection = ScheduleSection()
    execution: ExecutionSection = ExecutionSection()

    @model_validator(mode="after")
    def _names_fit_each_other(self) -> "Config":
        """Before anything runs: a name that no other part of the file knows would end a night after its training."""
        self.features.require_names(self.scoring.group_column)
        return self

    def cutoff_instant(self, as_of: date) -> datetime:
        """The last instant (exclusive, aware) whose events the night `as_of` may use."""
        zone = ZoneInfo(self.workspace.timezone)
        day = as_of + timedelta(days=self.workspace.cutoff_hour // 24)
        return datetime.combine(day, time(self.workspace.cutoff_hour % 24), tzinfo=zone)


def load_config(workspace: Path) -> Config:
    """Read `workspace/medlstm.toml` and the MEDLSTM_ variables; raise ConfigError in words a user can act on."""
    path = workspace / CONFIG_NAME
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; `medlstm init {workspace}` writes one")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    return parse_config(raw, dict(os.environ), str(path))


def parse_config(raw: dict[str, Any], environment: dict[str, str], origin: str) -> Config:
    """Merge environment overrides (MEDLSTM_TRAINING__MAX_EPOCHS=3) into `raw` and validate the whole."""
    merged = _with_environment(raw, environment)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, origin))) from error


def _with_environment(raw: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    merged = {name: dict(value) if isinstance(value, dict) else value for name, value in raw.items()}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        section, key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__", 1)
        merged.setdefault(section, {})[key] = _parse_environment_value(text)
    return merged


def _parse_environment_value(text: str) -> Any:
    """Read a value as TOML would (numbers, booleans, lists), else as the string itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: ValidationError, origin: str) -> list[str]:
    lines = []
    for problem in error.errors():
        location = [str(part) for part in problem["loc"] if part not in FORMATS]
        key = ".".join(location)
        hidden = problem["type"] in ("missing", "model_type", "password_in_file")
        shown = "" if hidden else f" = {_shorten(problem['input'])}"
        # Of the file as a whole there is no key, and no value that could be shown.
        named = f"{key}{shown}: " if key else ""
        lines.append(f"{origin}: {named}{problem['msg']}{_hint(location, problem['type'])}")
    return lines


def _hint(location: list[str], kind: str) -> str:
    if kind != "extra_forbidden":
        return ""
    known = _known_keys(location[:-1])
    return f" (known keys here: {', '.join(known)})" if known else ""


def _known_keys(location: list[str]) -> list[str]:
    if not location:
        return sorted(Config.model_fields)
    nested = SOURCE_PARTS.get(tuple(part for part in location if not part.isdigit()))
    if nested:
        return sorted(nested.model_fields)
    section = Config.model_fields.get(location[0])
    annotation = section.annotation if section else None
    if len(location) == 1 and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return sorted(annotation.model_fields)
    return []


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def parse_date(text: str) -> date:
    """An ISO date from the command line; raise ConfigError naming the text."""
    try:
        return TypeAdapter(date).validate_python(text)
    except ValidationError as error:
        raise ConfigError(f"date = {text!r}: must be a calendar date such as 2026-11-22") from error
