"""A night takes over what an earlier one holds already, and is the same to the byte as one that begins from nothing."""

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace, partition_file, read_json, write_json, write_table
from medlstm.lake.schemas import SEQUENCES_MANIFEST, admitted_schema
from medlstm.sequences import shard_plan
from medlstm.sequences.build import build_sequences, build_shards, finish_sequences
from medlstm.sequences.row_ledger import read_ledger
from medlstm.sequences.shard_plan import read_shards
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import parse_config

FIRST, DATES = date(2026, 1, 1), 120
NIGHTS = [FIRST + timedelta(days=day) for day in (40, 75, 76, 119)]


def config(**sections):
    base = {
        "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
        "features": {"categorical": ["ward"]},
        "sequences": {"shards": 2, "bin_hours": 6},
        "contracts": {"stop_orphan_share": 1.0},
    }
    return parse_config({name: one | sections.get(name, {}) for name, one in base.items()}, {}, "test")


def hospital(place: Workspace, seed: int) -> None:
    """Sixty stays of four months: wards that change, ends told late, results that come weeks after the discharge, are
    corrected and taken back, rows without a value, and rows of stays that are known only later, or never."""
    generator = np.random.default_rng(seed)
    stays: dict[int, list[dict[str, object]]] = {}
    rows: dict[int, list[dict[str, object]]] = {}
    for number in range(60):
        begun = int(generator.integers(0, DATES - 1))
        admitted = datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=begun, hours=8)
        lasts = float(generator.exponential(6)) + 0.5
        end, stay = admitted + timedelta(days=lasts), f"s{number}"
        told_late = int(generator.choice([0, 0, 0, 9]))
        for day, known_end, ward in ((begun + int(generator.choice([0, 0, 3])), None, "a"),
                                     (begun + 2, None, str(generator.choice(["a", "b"]))),
                                     (begun + int(lasts) + 1 + told_late, end, "c")):  # fmt: skip
            stays.setdefault(day, []).append({"stay_id": stay, "patient_id": f"p{number % 25}", "admitted_at": admitted,
                                              "discharged_at": known_end, "ward": ward,
                                              "retracted": True if generator.random() < 0.03 else None})  # fmt: skip
        for hours in np.arange(0, lasts * 24, 10):
            late = int(generator.choice([0, 0, 0, 0, 1, 40]))
            day = begun + int(hours // 24) + late
            kept = {"stay_id": stay if generator.random() < 0.95 else f"orphan{number % 7}",
                    "observed_at": admitted + timedelta(hours=float(hours)),
                    "variable": str(generator.choice(["crp", "hr"]))}  # fmt: skip
            value = None if generator.random() < 0.05 else float(generator.integers(0, 9))
            rows.setdefault(day, []).append(kept | {"value": value, "retracted": None})
            if generator.random() < 0.05:
                again = day + int(generator.choice([0, 1, 30]))
                rows.setdefault(again, []).append(kept | {"value": None, "retracted": True})
    for day in range(DATES):
        when = FIRST + timedelta(days=day)
        _write(place, "stays", when, stays.get(day, []))
        _write(place, "observations", when, rows.get(day, []))


def _write(place: Workspace, table: str, day: date, rows: list[dict[str, object]]) -> None:
    schema = admitted_schema(table, [], ["ward"])
    rows = [row | {"extract_date": day, "source_file": "f", "source_row": number} for number, row in enumerate(rows)]
    write_table(pa.Table.from_pylist(rows, schema=schema), partition_file(place.admitted(table), day))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def linked(place: Workspace, night: date) -> set[str]:
    """The shards whose files stand in another night's folder, too."""
    return {path.name.removeprefix("steps-") for path in place.sequences(night).glob("steps-*")
            if path.stat().st_nlink > 1}  # fmt: skip


def from_nothing(place: Workspace, night: date, target: Path, own_config) -> dict[str, bytes]:
    """What the night gives where no night was before it, and no index."""
    shutil.copytree(place.root, target, ignore=shutil.ignore_patterns("sequences", ".indexes"))
    fresh = Workspace(target)
    build_sequences(fresh, night, own_config, "all")
    found = content(fresh.sequences(night))
    shutil.rmtree(target)
    return found


@settings(max_examples=6, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])  # fmt: skip
@given(seed=st.integers(0, 2**32 - 1))
def test_each_night_is_to_the_byte_what_it_is_from_nothing(tmp_path_factory, seed):
    place = Workspace(tmp_path_factory.mktemp("lake"))
    hospital(place, seed)
    for night in NIGHTS:
        summary = build_sequences(place, night, config(), "all")
        assert content(place.sequences(night)) == from_nothing(place, night, place.root / "fresh", config())
        assert sum(summary.observations.kinds.values()) == summary.observations.rows
        build_sequences(place, night + timedelta(days=0), config(), "all")
    assert linked(place, NIGHTS[1]) or linked(place, NIGHTS[2]), "nothing was taken over"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    place = Workspace(tmp_path_factory.mktemp("lake"))
    hospital(place, 7)
    for night in NIGHTS[1:3]:
        build_sequences(place, night, config(), "all")
    return place


@pytest.fixture
def lake(built, tmp_path):
    """A copy of a lake with two nights."""
    shutil.copytree(built.root, tmp_path / "w")
    return Workspace(tmp_path / "w")


def expect_same(place: Workspace, night: date, own_config) -> set[str]:
    """Build the night, hold it against one from nothing, and say what was taken over."""
    build_sequences(place, night, own_config, "all")
    assert content(place.sequences(night)) == from_nothing(place, night, place.root / "fresh", own_config)
    return linked(place, night)


def test_the_next_night_reads_only_what_concerns_the_newest_shards(lake, monkeypatch):
    night = NIGHTS[2] + timedelta(days=1)
    read = []
    real = build_shards.__globals__["shard_partitions"]

    def noted(*named):
        read.append(real(*named))
        return read[-1]

    monkeypatch.setitem(build_shards.__globals__, "shard_partitions", noted)
    taken_over = expect_same(lake, night, config())
    assert taken_over
    assert 0 < len(read[0]) < 77


def test_the_files_of_an_old_month_are_not_written_again(lake):
    before = {path.name: path.stat().st_ino for path in lake.sequences(NIGHTS[2]).iterdir()}
    build_sequences(lake, NIGHTS[2] + timedelta(days=1), config(), "all")
    after = {path.name: path.stat().st_ino for path in lake.sequences(NIGHTS[2] + timedelta(days=1)).iterdir()}
    same = {name for name, inode in after.items() if before.get(name) == inode}
    assert {name for name in same if name.startswith("steps-2026-01")}
    assert not {name for name in same if "open" in name}


def test_a_late_row_moves_its_stay_to_the_newest_month(lake):
    night, day = NIGHTS[2] + timedelta(days=1), NIGHTS[2] + timedelta(days=1)
    old = load_sequences(lake.sequences(NIGHTS[2])).stays
    ended = old[~old["is_open"]].sort_values("end_at").iloc[0]
    row = {"stay_id": ended["stay_id"], "observed_at": ended["admitted_at"].to_pydatetime(), "variable": "hr",
           "value": 3.0, "retracted": None}  # fmt: skip
    _write(lake, "observations", day, [row])
    expect_same(lake, night, config())
    where = {name for name in read_shards(read_json(lake.sequences(night) / SEQUENCES_MANIFEST))
             if ended["stay_id"] in read_stays(lake, night, name)}  # fmt: skip
    assert {name[:7] for name in where} == {f"{day:%Y-%m}"}


def read_stays(place: Workspace, night: date, name: str) -> list[str]:
    from medlstm.lake.files import read_table
    from medlstm.sequences.shard_files import stays_path

    return read_table(stays_path(place.sequences(night), name)).column("stay_id").to_pylist()


def test_a_date_that_was_taken_in_again_is_read_again(lake):
    day = FIRST + timedelta(days=10)
    path = partition_file(lake.admitted("observations"), day)
    table = pa.parquet.ParquetFile(path).read()
    rows = [row | {"value": 77.0} for row in table.to_pylist() if row["value"] is not None]
    assert rows
    _write(lake, "observations", day, rows)
    expect_same(lake, NIGHTS[2] + timedelta(days=1), config())


def test_what_became_of_an_old_stay_is_seen_where_its_date_was_taken_in_again(lake):
    old = load_sequences(lake.sequences(NIGHTS[2])).stays
    told = old[~old["is_open"]].sort_values("extract_date")["extract_date"].iloc[0]
    path = partition_file(lake.admitted("stays"), told)
    rows = [row | {"died": True} for row in pa.parquet.ParquetFile(path).read().to_pylist()]
    _write(lake, "stays", told, rows)
    expect_same(lake, NIGHTS[2] + timedelta(days=1), config())


@pytest.mark.parametrize(
    "changed",
    [{"sequences": {"bin_hours": 12}}, {"sequences": {"pre_admission_hours": 0}}, {"sequences": {"max_hours": 48}},
     {"features": {"variables": ["hr"]}}, {"features": {"known_from": {"ward": "discharge"}}},
     {"sequences": {"by_arrival": False}}],
)  # fmt: skip
def test_other_settings_take_nothing_over(lake, changed):
    assert not expect_same(lake, NIGHTS[2] + timedelta(days=1), config(**changed))


def test_a_patient_share_of_processes_gives_the_same_and_its_ledger(lake):
    night = NIGHTS[3]
    counts = [build_shards(lake, night, config(), "all", [number]) for number in (1, 0)]
    finish_sequences(lake, night, config(), "all", counts)
    apart, ledger = content(lake.sequences(night)), read_ledger(lake, night)
    assert apart == from_nothing(lake, night, lake.root / "fresh", config())
    assert ledger.rows == sum(ledger.kinds.values())


def test_a_build_that_was_killed_is_taken_for_nothing(lake):
    (lake.sequences(NIGHTS[2]) / SEQUENCES_MANIFEST).unlink()
    taken_over = expect_same(lake, NIGHTS[2] + timedelta(days=1), config())
    before = {path.stat().st_ino for path in lake.sequences(NIGHTS[1]).iterdir()}
    steps = [lake.sequences(NIGHTS[2] + timedelta(days=1)) / f"steps-{name}" for name in taken_over]
    assert {path.stat().st_ino for path in steps} <= before


@pytest.mark.parametrize("meanwhile", ["removed", "another"])
def test_a_night_that_is_built_anew_meanwhile_is_not_taken_over(lake, monkeypatch, meanwhile):
    """Its files may be of either build by then."""
    real = shard_plan.link_shard

    def racing(source, folder, shard):
        real(source, folder, shard)
        manifest = source / SEQUENCES_MANIFEST
        if meanwhile == "removed":
            manifest.unlink(missing_ok=True)
        else:
            content = read_json(manifest)
            changed = {name: one | {"key": "of another build"} for name, one in content["shards"].items()}
            write_json(content | {"shards": changed}, manifest)

    monkeypatch.setattr(shard_plan, "link_shard", racing)
    build_sequences(lake, NIGHTS[2] + timedelta(days=1), config(), "all")
    monkeypatch.undo()
    assert not linked(lake, NIGHTS[2] + timedelta(days=1))


def test_what_an_earlier_build_left_in_the_folder_goes(lake):
    stray = lake.sequences(NIGHTS[2]) / "steps-2020-01-00000.parquet"
    shutil.copy(next(lake.sequences(NIGHTS[2]).glob("steps-*")), stray)
    build_sequences(lake, NIGHTS[2], config(), "all")
    assert not stray.exists()


def test_sequences_of_an_earlier_version_are_refused_and_taken_over_by_no_night(lake):
    for night in NIGHTS[1:3]:
        manifest = read_json(lake.sequences(night) / SEQUENCES_MANIFEST)
        write_json(manifest | {"shards": 2}, lake.sequences(night) / SEQUENCES_MANIFEST)
    with pytest.raises(MedlstmError, match="preprocess"):
        load_sequences(lake.sequences(NIGHTS[2]))
    assert not expect_same(lake, NIGHTS[2] + timedelta(days=1), config())


def test_where_files_cannot_be_linked_they_are_copied(lake, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert not expect_same(lake, NIGHTS[2] + timedelta(days=1), config())
