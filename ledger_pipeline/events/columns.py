"""Column types of the event table and what each is in PostgreSQL, Arrow and the canonical text."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import pyarrow as pa
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from ledger_pipeline.errors import InvalidTime

UNIT_SEPARATOR = "\x1f"
"""U+001F joins the columns of the canonical text, so no text column may hold it."""

MAX_TOKENS = 10**12
MAX_USD = Decimal(10) ** 12
USD_PLACES = Decimal("1e-12")


class ColumnKind(StrEnum):
    """The column types that events use; there are no arrays and no floats."""

    UUID = "uuid"
    TEXT = "text"
    INTEGER = "integer"
    BIGINT = "bigint"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamptz"
    DATE = "date"
    USD = "numeric(38,12)"
    JSON = "json"
    BYTES = "bytea"


ARROW_TYPES: dict[ColumnKind, pa.DataType] = {
    # Ids are strings in Parquet: Spark rejects the Parquet UUID type.
    ColumnKind.UUID: pa.string(),
    ColumnKind.TEXT: pa.string(),
    ColumnKind.INTEGER: pa.int32(),
    ColumnKind.BIGINT: pa.int64(),
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    ColumnKind.DATE: pa.date32(),
    ColumnKind.USD: pa.decimal128(38, 12),
    ColumnKind.JSON: pa.string(),
    ColumnKind.BYTES: pa.binary(32),
}


@dataclass(frozen=True)
class Column:
    """Marks a field of an event class as a typed column; a field without it belongs to the payload.

    `values` closes a text column's vocabulary; `minimum` and `maximum` bound a number. `stored_always` makes a column
    obligatory in the store that a client may leave out, because the ledger fills it before the append.
    """

    kind: ColumnKind
    values: tuple[str, ...] = ()
    stored_always: bool = False
    minimum: Decimal | int | None = None
    maximum: Decimal | int | None = None


def plain_text(value: str) -> str:
    """A text that the canonical text and PostgreSQL can hold; raises ValueError."""
    if UNIT_SEPARATOR in value:
        raise ValueError("must not contain the control character U+001F")
    if "\x00" in value:
        raise ValueError("must not contain the control character U+0000")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain a lone surrogate") from None
    return value


def _empty_to_null(value: object) -> object:
    return None if value == "" else value


def _exact_usd(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("money is a decimal, never a float: pass a Decimal or a string")
    return value


def _quantized(value: Decimal) -> Decimal:
    try:
        quantized = value.quantize(USD_PLACES)
    except InvalidOperation:  # of more digits than a Decimal has: far out of bounds, which is judged next
        return value
    if quantized != value:
        raise ValueError("has more than 12 decimal places: round it at the source")
    return quantized


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Text = Annotated[str, Column(ColumnKind.TEXT), AfterValidator(plain_text), Field(min_length=1)]
Id = Annotated[UUID, Column(ColumnKind.UUID)]
Timestamp = Annotated[AwareDatetime, Column(ColumnKind.TIMESTAMP), AfterValidator(_utc)]
Tokens = Annotated[int, Column(ColumnKind.BIGINT, minimum=0, maximum=MAX_TOKENS), Field(ge=0, le=MAX_TOKENS)]
Count = Annotated[int, Column(ColumnKind.BIGINT, minimum=0, maximum=2**63 - 1), Field(ge=0, lt=2**63)]
Ordinal = Annotated[int, Column(ColumnKind.INTEGER, minimum=0, maximum=2**31 - 1), Field(ge=0, lt=2**31)]
Flag = Annotated[bool, Column(ColumnKind.BOOLEAN)]
Usd = Annotated[
    Decimal,
    Column(ColumnKind.USD, minimum=0, maximum=MAX_USD),
    BeforeValidator(_exact_usd),
    AfterValidator(_quantized),
    Field(ge=0, le=MAX_USD, allow_inf_nan=False),
]
SignedUsd = Annotated[
    Decimal,
    Column(ColumnKind.USD, minimum=-MAX_USD, maximum=MAX_USD),
    BeforeValidator(_exact_usd),
    AfterValidator(_quantized),
    Field(ge=-MAX_USD, le=MAX_USD, allow_inf_nan=False),
]
NullIfEmpty = BeforeValidator(_empty_to_null)
"""On an optional text column: an empty string is stored as NULL, since the canonical text can't tell them apart."""


def one_of(values: type[StrEnum], *, stored_always: bool = False) -> Column:
    """The column of a closed vocabulary."""
    return Column(ColumnKind.TEXT, values=tuple(v.value for v in values), stored_always=stored_always)


def _epoch_microseconds(value: datetime) -> str:
    delta = value - datetime(1970, 1, 1, tzinfo=UTC)
    return str((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _usd(value: Decimal) -> str:
    return format(value.quantize(USD_PLACES), "f")


def _iso(value: date) -> str:
    return value.isoformat()


CANONICAL: dict[ColumnKind, Callable[..., str]] = {
    ColumnKind.UUID: str,
    ColumnKind.TEXT: str,
    ColumnKind.INTEGER: str,
    ColumnKind.BIGINT: str,
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.TIMESTAMP: _epoch_microseconds,
    ColumnKind.DATE: _iso,
    ColumnKind.USD: _usd,
    ColumnKind.JSON: str,
}
"""How a value that is not NULL is written in the canonical text."""


ALLOWED_AHEAD = timedelta(minutes=5)
"""How far a client's clock may be ahead of the server's: an event may lie in the week of so much earlier."""


def week_of(instant: datetime) -> date:
    """The Monday (UTC) of an instant's week; raises InvalidTime for a naive time."""
    if instant.tzinfo is None:
        raise InvalidTime(f"time {instant.isoformat()} has no time zone: give an offset such as +00:00")
    day = instant.astimezone(UTC).date()
    return date.fromordinal(day.toordinal() - day.weekday())
