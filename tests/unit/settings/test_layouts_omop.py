"""The template for a database in the OMOP CDM 5.4, as `init` writes it, on a made-up database."""

import sqlite3

import pytest
from typer.testing import CliRunner

from flows.command_line.app import app
from medlstm.lake.files import Workspace
from medlstm.settings.workspace import load_config
from medlstm.sources.sql import database_url, fetch
from tests.layouts import omop
from tests.layouts.truth import admitted_stays, require_observations
from tests.unit.night import take_in, take_in_and_validate


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Workspace and configuration, untouched, with the date fetched, taken in and validated."""
    root = tmp_path_factory.mktemp("omop") / "w"
    assert CliRunner().invoke(app, ["init", str(root), "--example", "omop"]).exit_code == 0
    with sqlite3.connect(root / "cdm.db") as connection:
        connection.executescript(";\n".join(omop.statements()))
    config = load_config(root)
    address = {"OMOP_DATABASE_URL": f"sqlite:///{root / 'cdm.db'}"}
    assert fetch(Workspace(root), omop.DAY, config.source, database_url(config.source, address)) == {
        "visits": 4, "measurements": 8,
    }  # fmt: skip
    return root, config, take_in_and_validate(root, omop.DAY, config)


def test_the_template_admits_what_the_database_says_and_nobody_edits_a_line(night, request):
    root, config, _ = night
    shipped = request.config.rootpath / "medlstm" / "settings" / "examples" / "omop.toml"
    assert (root / "medlstm.toml").read_text(encoding="utf-8") == shipped.read_text(encoding="utf-8")
    assert admitted_stays(root, omop.DAY, config) == omop.STAYS
    require_observations(root, omop.DAY, omop.OBSERVATIONS)


def test_every_row_is_admitted_quarantined_or_counted(night):
    root, config, reports = night
    landed = take_in(root, omop.DAY, config)
    assert not landed.warnings
    assert landed.left_out == {
        "measurements.parquet: by keep and drop": 2,
        "measurements.parquet: of variables that the mapping does not name": 1,
    }
    for report in reports.values():
        assert (report.rows_in, report.quarantined) == (report.admitted, 0)
