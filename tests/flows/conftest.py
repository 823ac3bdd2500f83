import shutil
from datetime import date, timedelta
from importlib import resources

import pytest

START = date(2026, 3, 9)
NIGHT = START + timedelta(days=17)


@pytest.fixture(scope="session")
def server(prefect_api, prefect_home):
    """This process's flows report to the session's server."""
    from prefect.logging.handlers import APILogHandler
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_api, PREFECT_HOME: prefect_home}):
        yield prefect_api
        APILogHandler().flush()


@pytest.fixture(scope="session")
def first_night(server, tmp_path_factory):
    """A small hospital after its first night, which trained: (workspace, summary)."""
    from flows.nightly import nightly
    from medlstm.synthetic.hospital import simulate_hospital

    root = tmp_path_factory.mktemp("hospital")
    template = resources.files("medlstm.settings").joinpath("examples", "demo.toml").read_text("utf-8")
    template = template.replace("[training]", "[model]\nmembers = 1\n\n[training]\nmax_epochs = 6")
    (root / "medlstm.toml").write_text(template, encoding="utf-8")
    simulate_hospital(root / "landing", START, 20, 3, timezone="Europe/Berlin", admissions_per_day=30.0)
    return root, nightly(str(root), NIGHT)


@pytest.fixture
def workspace(first_night, tmp_path):
    """A copy of the hospital after its first night, to do with as a test likes."""
    copy = tmp_path / "hospital"
    shutil.copytree(first_night[0], copy)
    return copy
