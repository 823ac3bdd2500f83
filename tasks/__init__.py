"""One thin Prefect task per step of the night, over the medlstm core."""

from medlstm.telemetry import switch_telemetry_off

switch_telemetry_off()
