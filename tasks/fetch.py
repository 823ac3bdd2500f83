"""Fetch a date's rows from the database of the workspace, before they are taken in."""

import logging
import os
from datetime import date

from prefect.blocks.system import Secret

from medlstm.errors import ConfigError
from medlstm.ingest.delivered_files import delivered_dates
from medlstm.lake.files import Workspace
from medlstm.settings.source import SqlSource
from medlstm.settings.workspace import Config
from medlstm.sources.sql import database_url, fetch, is_fetched

logger = logging.getLogger("medlstm.tasks")


def fetch_if_due(workspace: Workspace, day: date, config: Config) -> None:
    """For an sql source: run its queries, unless they have landed for this date or a later date was taken in."""
    source = config.source
    if not isinstance(source, SqlSource) or is_fetched(workspace, day, source):
        return
    if max(delivered_dates(workspace), default=date.min) > day:
        return
    secret = _secret(source.url_secret) if source.url_secret else None
    rows = fetch(workspace, day, source, database_url(source, dict(os.environ), secret))
    logger.info("fetch %s: %s", day, ", ".join(f"{name} {number} rows" for name, number in rows.items()))


def _secret(name: str) -> str:
    try:
        return str(Secret.load(name, _sync=True).get())  # type: ignore[call-arg, union-attr]
    except ValueError as error:
        raise ConfigError(f"source.url_secret = {name!r}: no such Secret block; make it in the Prefect UI") from error
