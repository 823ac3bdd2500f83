"""Types of single settings."""

import codecs
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def known_timezone(value: str) -> str:
    """`value`, if it is the name of a time zone; raises ValueError otherwise."""
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("must be an IANA time zone such as Europe/Berlin") from error
    return value


def _known_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError as error:
        raise ValueError("must be a text encoding such as utf-8 or latin-1") from error
    return value


Timezone = Annotated[str, AfterValidator(known_timezone)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
# Whether quotes enclose fields, or are characters as any others.
Quoting = Literal["standard", "none"]
Delimiter = Annotated[str, Field(min_length=1, max_length=1)]
TimeUnit = Literal["timestamp", "minutes", "hours", "days"]
LengthUnit = Literal["minutes", "hours", "days"]
ReferenceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,60}$")]


class Section(BaseModel):
    """A table of medlstm.toml: keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
