"""Results as what JSON knows."""

from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from typing import Any


def plain(value: Any) -> Any:
    """Dataclasses, dates and tuples as what JSON knows; infinite or undefined numbers as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value
