"""The ledger of a night against a count of the same rows made apart, row by row and with plain pandas."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from importlib import resources

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from medlstm.errors import ContractStopped, MedlstmError
from medlstm.lake.audit_log import read_audit
from medlstm.lake.files import Workspace, partition_file, partitions_until, read_table, write_table
from medlstm.lake.schemas import admitted_schema
from medlstm.sequences.build import build_sequences, build_shards, finish_sequences
from medlstm.sequences.row_ledger import KINDS, RowCounts, balanced, read_ledger
from medlstm.settings.workspace import load_config, parse_config
from medlstm.synthetic.hospital import simulate_hospital
from tests.unit.sequences.nights_one_by_one import House, as_written
from tests.unit.small_hospital import take_in

DAYS = [date(2026, 1, day) for day in (1, 2, 3)]
BEGIN = datetime(2025, 12, 31, tzinfo=UTC)


def _config(**sections):
    source = {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]}
    sections.setdefault("sequences", {"shards": 3, "pre_admission_hours": 6, "bin_hours": 2})
    sections.setdefault("contracts", {"stop_orphan_share": 1.0})
    return parse_config({"source": source, **sections}, {}, "test")


def _land(place, table, day, records):
    schema = admitted_schema(table, [], [])
    rows = [record | {"extract_date": day, "source_file": "f", "source_row": row} for row, record in enumerate(records)]
    write_table(pa.Table.from_pylist(rows, schema=schema), partition_file(place.admitted(table), day))


def _random_lake(place, seed):
    """Stays that are open, ended, planned and taken back; observations of them and of nobody."""
    generator = np.random.default_rng(seed)
    names = [f"s{number}" for number in range(8)]
    for day in DAYS:
        stays = []
        for name in generator.permutation(names)[:5]:
            admitted = BEGIN + timedelta(hours=int(generator.integers(0, 96)))
            left = admitted + timedelta(minutes=int(generator.integers(1, 4000))) if generator.random() < 0.5 else None
            stays.append({"stay_id": name, "patient_id": name, "admitted_at": admitted, "discharged_at": left,
                          "retracted": bool(generator.random() < 0.1) or None})  # fmt: skip
        observations = [
            {"stay_id": str(generator.choice([*names, "ghost"])), "variable": str(generator.choice(["a", "b", "c"])),
             "observed_at": BEGIN + timedelta(minutes=30 * int(generator.integers(-20, 220))),
             "value": float(generator.integers(0, 9)), "retracted": bool(generator.random() < 0.1) or None}
            for _ in range(int(generator.integers(0, 150)))
        ]  # fmt: skip
        _land(place, "stays", day, stays)
        _land(place, "observations", day, observations)


def _rows(place, table, as_of):
    paths = partitions_until(place.admitted(table), as_of)
    return pd.concat([read_table(path).to_pandas() for path in paths], ignore_index=True)


def _counted_apart(place, as_of, scope, config, variables):
    """Each row's kind by the rules in words, without the code of the sequences."""
    cutoff = config.cutoff_instant(as_of)
    stays = _rows(place, "stays", as_of)
    rows = _rows(place, "observations", as_of)
    days = [as_of - timedelta(days=back) for back in range(40, -1, -1)]
    house = House({day: config.cutoff_instant(day) for day in days}, timedelta(hours=config.sequences.bin_hours),
                  timedelta(hours=config.sequences.pre_admission_hours))  # fmt: skip
    counts = Counter()
    versions = {name: _records(of) for name, of in stays.groupby("stay_id")}
    for name, of in rows.groupby("stay_id"):
        known = versions.get(name)
        if known is None:
            counts["unknown_stay"] += len(of)
            continue
        newest = known[-1]
        is_open = newest["discharged_at"] is None or newest["discharged_at"] >= cutoff
        if newest["retracted"]:
            counts["stay_taken_back"] += len(of)
        elif newest["admitted_at"] >= cutoff:
            counts["stay_not_begun"] += len(of)
        elif scope == "open" and not is_open:
            counts["stay_ended"] += len(of)
        else:
            known = [one for one in known if not one["retracted"]]
            counts += _counted_of_stay(house, known, _records(of), as_of, variables, is_open)
    return {kind: counts.get(kind, 0) for kind in KINDS}


def _records(frame):
    """Rows of the lake as dictionaries with None where nothing is said."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for record in records:
        record["retracted"] = record.get("retracted") is True
        record["ward"] = None
        for name in frame:
            if isinstance(record[name], pd.Timestamp):
                record[name] = record[name].to_pydatetime()
    return records


def _counted_of_stay(house, stays, rows, as_of, variables, is_open):
    used = [row for row in rows if row["variable"] in variables]
    written = as_written(house, stays, used, as_of)
    admitted = stays[-1]["admitted_at"]
    end = house.cutoffs[as_of] if is_open else stays[-1]["discharged_at"]
    entered = [row for step in written.entered for row in step]
    counts = Counter(unused_variable=len(rows) - len(used))
    for row in used:
        late = house.own_step(admitted, row["observed_at"]) < len(written.steps)
        if any(row is one for one in entered):
            continue
        if row["observed_at"] < admitted - house.early:
            counts["before_admission"] += 1
        elif row["observed_at"] >= end:
            counts["after_cutoff" if is_open else "after_discharge"] += 1
        else:
            counts["arrived_too_late" if late else "after_last_bin"] += 1
    for step in written.entered:
        last = {(row["variable"], row["observed_at"]): row["retracted"] for row in step}
        back = [last[row["variable"], row["observed_at"]] for row in step if not row["retracted"]]
        counts["takes_back"] += sum(row["retracted"] for row in step)
        counts["taken_back"] += sum(back)
        counts["overwritten"] += len(back) - sum(back)
    counts["in_a_bin"] += written.told
    counts["overwritten"] -= written.told
    return counts


@pytest.mark.parametrize("seed", range(6))
def test_every_row_goes_the_way_that_a_count_made_apart_says(tmp_path, seed):
    place = Workspace(tmp_path)
    _random_lake(place, seed)
    config = _config(features={"variables": ["a", "b"]})
    for scope in ("all", "open"):
        ledger = build_sequences(place, DAYS[1], config, scope).observations
        assert dict(ledger.kinds) == _counted_apart(place, DAYS[1], scope, config, ["a", "b"])
        assert sum(ledger.kinds.values()) == ledger.rows == len(_rows(place, "observations", DAYS[1]))
        assert read_ledger(place, DAYS[1]) == ledger
        rows = _rows(place, "observations", DAYS[1])
        unknown = ~rows["stay_id"].isin(_rows(place, "stays", DAYS[1])["stay_id"])
        assert dict(ledger.dates) == {
            str(day): (len(of_day), int(of_day.sum())) for day, of_day in unknown.groupby(rows["extract_date"])
        }


def test_the_ledger_of_a_hospital_is_a_count_of_its_admitted_rows(tmp_path):
    root, night = tmp_path / "hospital", date(2026, 3, 12)
    root.mkdir()
    demo = resources.files("medlstm.settings").joinpath("examples", "demo.toml").read_text("utf-8")
    (root / "medlstm.toml").write_text(demo, encoding="utf-8")
    simulate_hospital(root / "landing", date(2026, 3, 9), 4, 3, timezone="Europe/Berlin", admissions_per_day=2.0)
    place, config = take_in(root, night), load_config(root)
    variables = set(_rows(place, "observations", night)["variable"])
    for scope in ("all", "open"):
        ledger = build_sequences(place, night, config, scope).observations
        assert dict(ledger.kinds) == _counted_apart(place, night, scope, config, variables)
        assert ledger.kinds["in_a_bin"] > 1000
        assert [line for line in read_audit(place) if line["event"] == "build"][-1]["kinds"] == dict(ledger.kinds)


def test_passes_over_different_shards_count_together_what_one_pass_counts(tmp_path):
    place, config = Workspace(tmp_path), _config()
    _random_lake(place, 7)
    counts = [build_shards(place, DAYS[2], config, "all", shards) for shards in ((0,), (1, 2))]
    together = finish_sequences(place, DAYS[2], config, "all", counts).observations
    assert together == build_sequences(place, DAYS[2], config, "all").observations


def test_old_partitions_that_a_night_of_open_stays_leaves_unread_are_counted(tmp_path):
    place, config = Workspace(tmp_path), _config(contracts={"stop_orphan_share": 1.0, "volume_dates": 3})
    days = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(12)]
    for day in days:
        at = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
        stays = [{"stay_id": str(day), "patient_id": "p", "admitted_at": at, "discharged_at": at + timedelta(hours=9)}]
        stays[0]["discharged_at"] = None if day == days[-1] else stays[0]["discharged_at"]
        _land(place, "stays", day, stays)
        _land(place, "observations", day, [{"stay_id": str(day), "variable": "a", "observed_at": at, "value": 1.0}])
    ledger = build_sequences(place, days[-1], config, "open").observations
    assert {kind: rows for kind, rows in ledger.kinds.items() if rows} == {
        "in_a_bin": 1, "stay_ended": 3, "not_read": 8
    }  # fmt: skip


@pytest.mark.parametrize("placed", [2, 4])
def test_a_row_that_is_lost_or_counted_twice_stops_the_build(placed):
    with pytest.raises(MedlstmError, match="3 admitted observations, but"):
        balanced(3, [RowCounts(groups={0: Counter({"in_a_bin": placed})})], DAYS[0])


def _orphan_lake(place, day, known, unknown):
    at = datetime(day.year, day.month, day.day, 8, tzinfo=UTC)
    _land(place, "stays", day, [{"stay_id": "s", "patient_id": "p", "admitted_at": at}])
    rows = [{"stay_id": "s", "variable": "a", "observed_at": at, "value": 1.0}] * known
    rows += [{"stay_id": "ghost", "variable": "a", "observed_at": at, "value": 1.0}] * unknown
    _land(place, "observations", day, rows)


def test_a_feed_that_meets_no_stay_stops_the_night_and_is_in_the_ledger(tmp_path):
    place, config = Workspace(tmp_path), _config(contracts={})
    _orphan_lake(place, DAYS[0], known=0, unknown=228)
    with pytest.raises(ContractStopped, match=r"228 of 228 observations \(100.0%\) meet no stay"):
        build_sequences(place, DAYS[0], config, "open")
    assert read_ledger(place, DAYS[0]).kinds["unknown_stay"] == 228
    assert not (place.sequences(DAYS[0]) / "sequences.json").exists()


def test_a_handful_without_a_stay_warns_and_does_not_stop(tmp_path):
    place, config = Workspace(tmp_path), _config(contracts={})
    _orphan_lake(place, DAYS[0], known=0, unknown=3)
    (warning,) = build_sequences(place, DAYS[0], config, "all").warnings
    assert "3 of 3 observations" in warning
    assert "max_orphan_share" in warning


def test_a_share_far_above_the_usual_one_is_a_warning_and_the_usual_one_is_not(tmp_path):
    place, config = Workspace(tmp_path), _config(contracts={})
    days = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(5)]
    for day, unknown in zip(days, (0, 1, 0, 0, 4), strict=True):
        _orphan_lake(place, day, known=100 - unknown, unknown=unknown)
        warnings = build_sequences(place, day, config, "open").warnings
        assert bool(warnings) == (unknown == 4)
    assert "usual are 0.0%" in warnings[0]


def test_only_what_is_new_since_the_night_before_is_judged(tmp_path):
    place, config = Workspace(tmp_path), _config(contracts={"stop_orphan_share": 0.9})
    _orphan_lake(place, DAYS[0], known=1, unknown=1)
    assert build_sequences(place, DAYS[0], config, "open").warnings
    _orphan_lake(place, DAYS[1], known=50, unknown=0)
    assert not build_sequences(place, DAYS[1], config, "open").warnings
