"""The command as a user types it, against the session's server; the embedded one serves the demo's test."""

import json
import shutil
import tomllib

import numpy as np
import pandas as pd
import pytest

from medlstm.settings.workspace import load_config, parse_config

DAY = "2026-03-29"
COMMANDS = (
    "init", "demo", "nightly", "ingest", "validate", "preprocess", "train", "score", "report", "backfill", "replay",
    "serve", "explain",
)  # fmt: skip


def _tutorial_table(path, patients=300, seed=7):
    """The tutorial's columns; half a dozen patients are still in a bed, and the length follows from the rest."""
    generator = np.random.default_rng(seed)
    lines = ["age,gender,disease,bmi,bp,los"]
    for index in range(patients):
        age, bmi, bp = generator.normal(60, 12), generator.normal(26, 4), generator.normal(130, 15)
        disease = ("pneumonia", "fracture", "stroke")[generator.integers(3)]
        days = {"pneumonia": 4.0, "fracture": 7.0, "stroke": 12.0}[disease] + 0.08 * (age - 60) + generator.normal(0, 1)
        los = "" if index % 50 == 0 else f"{max(days, 0.5):.2f}"
        lines.append(f"{age:.0f},{'FM'[generator.integers(2)]},{disease},{bmi:.1f},{bp:.0f},{los}")
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def tutorial(medlstm, prefect_api, tmp_path_factory):
    """A workspace of the tutorial's own table after its night: (folder, completed process)."""
    folder = tmp_path_factory.mktemp("tutorial")
    made = medlstm("init", "w", "--example", "tutorial", cwd=folder)
    assert made.returncode == 0, made.stderr
    _tutorial_table(folder / "w" / "landing" / DAY / "medical_data.csv")
    done = medlstm("nightly", "--workspace", "w", "--as-of", DAY, "--json", cwd=folder, PREFECT_API_URL=prefect_api)
    return folder, done


def test_help_names_every_command(medlstm, tmp_path):
    done = medlstm("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


def test_the_tutorials_table_and_model_run_from_a_mapping_alone(tutorial):
    _, done = tutorial
    assert done.returncode == 0, done.stderr
    night = json.loads(done.stdout.splitlines()[-1])
    assert (night["status"], night["scored"]) == ("done", 6)
    test = night["training"]["test"]
    assert test["mae_days"] < 0.6 * test["median_mae_days"]
    assert "Who is expected to leave" in done.stdout


def test_each_step_is_a_command_of_its_own(tutorial, medlstm, prefect_api):
    folder, _ = tutorial
    for step in ("ingest", "validate", "preprocess", "score", "report"):
        done = medlstm(step, "--as-of", DAY, "--json", cwd=folder / "w", PREFECT_API_URL=prefect_api)
        assert done.returncode == 0, (step, done.stderr)
        json.loads(done.stdout.splitlines()[-1])


def test_the_gates_of_the_tutorials_classic_are_drawn(tutorial, medlstm, prefect_api):
    folder, _ = tutorial
    done = medlstm("explain", "--gates", "--as-of", DAY, "--json", cwd=folder / "w", PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["model"], summary["layers"], summary["hidden_units"]) == ("lstm", 2, 64)
    assert summary["hidden_difference"] < 1e-12
    assert (folder / "w" / "reports" / DAY / "gates.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("nightly", "--as-of", "2026-13-01"), 2, "must be a calendar date"),
        (("nightly", "--as-of", "2026-03-30"), 1, "Create it"),
        (("nightly", "--workspace", "nowhere", "--as-of", DAY), 2, "medlstm init"),
        (("backfill", "--start", DAY, "--end", "2026-03-01"), 2, "must not be before"),
        (("replay", "physionet2012", "gone", "--outcomes", "o.txt", "--start", DAY, "--days", "3"), 2, "no such"),
        (("nightly", "--frequently"), 2, "No such option"),
        (("init", "."), 2, "exists already"),
        (("explain", "--as-of", DAY), 2, "--gates"),
    ],
)
def test_wrong_use_gets_a_message_and_its_exit_status(tutorial, medlstm, prefect_api, arguments, status, said):
    done = medlstm(*arguments, cwd=tutorial[0] / "w", PREFECT_API_URL=prefect_api)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_value_in_the_environment_names_key_value_and_range(tutorial, medlstm):
    done = medlstm("report", "--as-of", DAY, cwd=tutorial[0] / "w", MEDLSTM_SEQUENCES__MAX_HOURS="0")
    assert done.returncode == 2
    assert "sequences.max_hours = 0: Input should be greater than or equal to 1" in done.stderr


def test_a_contract_that_stops_the_night_exits_with_three(tutorial, medlstm, prefect_api, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(tutorial[0] / "w", copy)
    table = copy / "landing" / DAY / "medical_data.csv"
    stays = pd.read_csv(table, dtype=str)
    stays.assign(los="unknown").to_csv(table, index=False)
    done = medlstm("nightly", "--as-of", DAY, cwd=copy, PREFECT_API_URL=prefect_api)
    assert done.returncode == 3, done.stderr
    assert "above contracts.max_quarantined_share" in done.stderr


def test_every_example_configuration_is_valid_and_commented(medlstm, tmp_path):
    for example in ("csv", "physionet2012", "tutorial", "demo"):
        done = medlstm("init", example, "--example", example, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        load_config(tmp_path / example)
        assert "#" in (tmp_path / example / "medlstm.toml").read_text()


def test_the_readmes_minimal_configuration_is_valid():
    from pathlib import Path

    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    block = readme.split("```toml\n", 1)[1].split("```", 1)[0]
    assert parse_config(tomllib.loads(block), {}, "README").source.format == "csv"
