"""A small synthetic hospital through the real steps of two nights, and the same lake as the first version wrote it."""

import json
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.contracts.raw_to_admitted import dates_to_validate, validate_dates
from medlstm.ingest.landing_to_raw import dates_to_ingest, ingest_dates
from medlstm.lake.files import (
    StagedTables,
    Workspace,
    partition_dates,
    partition_file,
    read_table,
    sha256_of,
    table_schema,
    write_table,
)
from medlstm.lake.partitions import with_date
from medlstm.lake.schemas import TABLES, dictionary_schema
from medlstm.registry.nightly_training import train_night
from medlstm.registry.versions import night_scope, training_due
from medlstm.scoring.score_night import score_night
from medlstm.sequences.build import build_sequences
from medlstm.settings.workspace import load_config
from medlstm.synthetic.hospital import simulate_hospital
from medlstm.upkeep.inspection import table_folders

START = date(2026, 3, 9)
DAYS = [START + timedelta(days=offset) for offset in range(8)]
NIGHTS = DAYS[-2:]


def write_landing(root: Path) -> None:
    """A workspace with eight landing folders, in one of them a file that is cut off."""
    template = resources.files("medlstm.settings").joinpath("examples", "demo.toml").read_text("utf-8")
    template = template.replace("[training]", '[model]\nname = "median"\n\n[training]\nmin_stays = 20')
    root.mkdir(parents=True, exist_ok=True)
    (root / "medlstm.toml").write_text(template, encoding="utf-8")
    simulate_hospital(root / "landing", START, len(DAYS), 3, timezone="Europe/Berlin", admissions_per_day=4.0)
    labs = root / "landing" / DAYS[1].isoformat() / "observations_labs_torn.csv.gz"
    labs.write_bytes(b"\x1f\x8b broken")


def take_in(root: Path, night: date) -> Workspace:
    """Ingest and contracts of a night and the dates before it."""
    place, config = Workspace(root), load_config(root)
    list(ingest_dates(place, dates_to_ingest(place, night), config))
    list(validate_dates(place, dates_to_validate(place, night), config))
    return place


def run_night(root: Path, night: date) -> Workspace:
    """All steps of a night but its page."""
    place, config = take_in(root, night), load_config(root)
    every_days = config.training.retrain_every_days
    due = training_due(place, night, every_days)
    build_sequences(place, night, config, night_scope(place, night, every_days))
    if due:
        assert train_night(place, night, config).promoted
    score_night(place, night, config)
    return place


def run_nights(root: Path) -> Workspace:
    for night in NIGHTS:
        run_night(root, night)
    return Workspace(root)


def partitions(place: Workspace) -> list[Path]:
    tables = [(folder, key) for _, _, folder, key in table_folders(place)]
    return [partition_file(folder, day, key) for folder, key in tables for day in partition_dates(folder)]


def lake_files(root: Path) -> dict[str, bytes]:
    """What a night leaves below lake/, and the contracts' reports; not what differs by run: audit log and locks."""
    kept = [*(root / "lake").rglob("*"), *(root / "reports").rglob("contract.json")]
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in kept
        if path.is_file() and path.name != "audit.jsonl" and ".locks" not in path.parts
    }


def write_as_format_1(place: Workspace) -> None:
    """Give each partition's file the column of its date and no metadata, as the first version wrote it; correct the
    records and take the mark away."""
    hashes = {}
    for path in partitions(place):
        old = sha256_of(path)
        with patch("medlstm.lake.files.date_column", return_value=None):
            _write_with_date(path)
        hashes[old] = sha256_of(path)
    place.format.unlink()
    records = [place.audit, *place.deliveries.glob("*.json"), *(place.root / "reports").rglob("contract.json")]
    for record in records:
        text = record.read_text(encoding="utf-8")
        for old, new in hashes.items():
            text = text.replace(json.dumps(old), json.dumps(new))
        record.write_text(text, encoding="utf-8")


def _write_with_date(path: Path) -> None:
    schema = table_schema(path)
    if path.parents[1].name not in TABLES:
        write_table(read_table(path), path)
        return
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file, StagedTables() as staged:
        groups = [file.read_row_group(group) for group in range(file.num_row_groups)]
        footers = file.metadata.row_group(0).to_dict()["columns"] if groups else []
        unsearched = [column["path_in_schema"] for column in footers if not column["is_stats_set"]]
        staged.open(path, dictionary_schema(schema), unsearched)
        for group in groups:
            staged.write(path, with_date(group, path))
        staged.commit([path])
