"""A small synthetic hospital through the real steps of two nights."""

from datetime import date, timedelta
from importlib import resources
from pathlib import Path

from medlstm.config import load_config
from medlstm.ingest import dates_to_ingest, ingest_dates
from medlstm.inspection import table_folders
from medlstm.lake import Workspace, partition_dates, partition_file
from medlstm.registry import training_due
from medlstm.retraining import train_night
from medlstm.scoring import score_night
from medlstm.sequences import build_sequences
from medlstm.synthetic import simulate_hospital
from medlstm.validate import dates_to_validate, validate_dates

START = date(2026, 3, 9)
DAYS = [START + timedelta(days=offset) for offset in range(8)]
NIGHTS = DAYS[-2:]


def write_landing(root: Path) -> None:
    """A workspace with eight landing folders, in one of them a file that is cut off."""
    template = resources.files("medlstm").joinpath("templates", "demo.toml").read_text("utf-8")
    template = template.replace("[model]", '[model]\nname = "median"').replace("min_stays = 100", "min_stays = 20")
    root.mkdir(parents=True, exist_ok=True)
    (root / "medlstm.toml").write_text(template, encoding="utf-8")
    simulate_hospital(root / "landing", START, len(DAYS), 3, timezone="Europe/Berlin", admissions_per_day=10.0)
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
    due = training_due(place, night, config.training.retrain_every_days)
    build_sequences(place, night, config, "all" if due else "open")
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
