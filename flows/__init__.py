"""One file per flow, which is one deployment; command_line/ is the `medlstm` command."""

import logging
import os

from medlstm.telemetry import switch_telemetry_off

switch_telemetry_off()
# The embedded server can take longer to start on a busy machine than Prefect waits by default.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
# Arrow's own choice gives memory back at once and asks for it again, a tenth to a fifth of the contract step's time.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
# Prefect hands the core's log lines to the run, but leaves the level to whoever owns the logger.
os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "medlstm")
logging.getLogger("medlstm").setLevel(logging.INFO)
