import importlib
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import date

import pytest

from medlstm.lake.date_lock import date_lock
from medlstm.lake.files import Workspace

DAY = date(2026, 1, 1)


@pytest.mark.filterwarnings("ignore:Logger")
@pytest.mark.parametrize(
    "name", ["nightly", "ingest", "validate", "preprocess", "train", "score", "report", "compare", "explain"]
)
def test_every_step_waits_for_another_run_of_its_date(server, tmp_path, name):
    """In a folder that is no workspace each would fail at once; while the date is held, none has even begun."""
    flow = getattr(importlib.import_module(f"flows.{name}"), name)
    with ThreadPoolExecutor(1) as pool:
        with date_lock(Workspace(tmp_path), "as_of", DAY):
            waiting = pool.submit(copy_context().run, flow.fn, str(tmp_path), DAY)
            with pytest.raises(TimeoutError):
                waiting.exception(timeout=0.5)
        assert waiting.exception(timeout=60) is not None
