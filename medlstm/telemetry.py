"""Switches off everything by which a dependency would report to its makers."""

import os

_OFF = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}


def switch_telemetry_off() -> None:
    """Set the variables that Prefect and Great Expectations read when they are imported; call it before."""
    os.environ.update(_OFF)
