"""The eICU demo in YAIB's layout, from its files to admitted tables."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace, partition_file
from medlstm.settings.workspace import load_config

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "eicu_demo_los"
TEMPLATE = ROOT / "medlstm" / "settings" / "examples" / "wide_parquet.toml"
DAY = date(2026, 3, 28)


@pytest.mark.skipif(not DATA.is_dir(), reason="the eICU demo tables are not in ../shared/data/eicu_demo_los")
def test_the_eicu_demo_comes_through_whole_and_keeps_its_lengths(tmp_path):
    shutil.copytree(DATA, tmp_path / "landing" / DAY.isoformat())
    shutil.copy(TEMPLATE, tmp_path / "medlstm.toml")
    workspace, config = Workspace(tmp_path), load_config(tmp_path)
    landed = ingest_date(workspace, DAY, config)
    assert (landed.files_read, landed.stays, landed.unreadable) == (3, 2267, ())
    dynamic = pd.read_parquet(DATA / "dyn.parquet").drop(columns=["stay_id", "time"])
    assert landed.observations == dynamic.notna().to_numpy().sum()
    for report in validate_date(workspace, DAY, config).reports:
        assert report.rows_in == report.admitted + report.quarantined + report.exact_duplicates
        assert report.quarantined <= 0.001 * report.rows_in
    stays = pd.read_parquet(partition_file(workspace.admitted("stays"), DAY)).set_index("stay_id")
    outcomes = pd.read_parquet(DATA / "outc.parquet")
    known = outcomes[outcomes["label"] < 168]
    expected = (known["time"] + pd.to_timedelta(known["label"], unit="h")).groupby(known["stay_id"].astype(str)).max()
    length = (stays["discharged_at"] - stays["admitted_at"]).dropna()
    assert len(length) == len(expected) == 2267 - 45
    assert ((length - expected).abs() < timedelta(seconds=1)).all()
