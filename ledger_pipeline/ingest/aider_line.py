"""One line of an Aider analytics log, checked before anything is made of it.

The format is what `aider --analytics-log FILE` writes (`aider/analytics.py`): an object with `event`, `properties`,
`user_id` and `time` in whole seconds since 1970.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.columns import MAX_TOKENS, MAX_USD, UNIT_SEPARATOR, USD_PLACES
from ledger_pipeline.events.payload import dump_payload
from ledger_pipeline.ingest.exact_json import decode_object, shown
from ledger_pipeline.ingest.lines import SourceLine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEMBERS = ("event", "properties", "user_id", "time")
_MICROSECONDS = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class ModelCall:
    """The usage of a `message_send`; `recorded_cost` is Aider's own figure in USD, None when the line has none."""

    model: str
    input_tokens: int
    output_tokens: int
    recorded_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class AiderLine:
    """A well-formed line. `details` holds everything that the line says beyond event, user and time."""

    number: int
    digest: bytes
    name: str
    user: str | None
    at: datetime
    details: dict[str, Any]
    call: ModelCall | None = None


def parse_line(line: SourceLine, latest: datetime) -> AiderLine:
    """The line's content; raises InvalidInput with the reason when it is malformed or later than `latest`."""
    text = line.text().strip()
    value = decode_object(text)
    missing = [name for name in _MEMBERS if name not in value]
    if missing:
        raise InvalidInput(f"no {', '.join(missing)}: a line has {', '.join(_MEMBERS)}")
    properties = value["properties"]
    if not isinstance(properties, dict):
        raise InvalidInput(f"properties: must be an object, not {shown(properties)}")
    others = {name: item for name, item in value.items() if name not in _MEMBERS}
    details = {**properties, "line": others} if others else properties
    dump_payload(details)
    name = _text("event", value["event"])
    user = None if value["user_id"] in (None, "") else _text("user_id", value["user_id"])
    call = _model_call(properties) if name == "message_send" else None
    digest = hashlib.sha256(text.encode()).digest()
    return AiderLine(line.number, digest, name, user, _time(value["time"], latest), details, call)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name}: must be a text that is not empty, not {shown(value)}")
    if UNIT_SEPARATOR in value or "\x00" in value:
        raise InvalidInput(f"{name}: must not contain the control characters U+0000 and U+001F")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name}: must not contain a lone surrogate") from None
    return value


def _time(value: Any, latest: datetime) -> datetime:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not Decimal(value).is_finite() or value <= 0:
        raise InvalidInput(f"time: must be seconds since 1970, more than 0, not {shown(value)}")
    if value > (latest - _EPOCH) // timedelta(seconds=1):
        raise InvalidInput(f"time: {shown(value)} lies in the future (now it is at most {latest.isoformat()})")
    return _EPOCH + timedelta(microseconds=int(Decimal(value) * _MICROSECONDS))


def _model_call(properties: dict[str, Any]) -> ModelCall:
    return ModelCall(
        model=_text("main_model", properties.get("main_model")),
        input_tokens=_tokens(properties, "prompt_tokens"),
        output_tokens=_tokens(properties, "completion_tokens"),
        recorded_cost=_cost(properties.get("cost")),
    )


def _tokens(properties: dict[str, Any], name: str) -> int:
    value = properties.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        raise InvalidInput(f"{name}: must be a whole number from 0 to 10^12, not {shown(value)}")
    return value


def _cost(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not 0 <= value <= MAX_USD:
        raise InvalidInput(f"cost: must be a number of USD from 0 to 10^12, not {shown(value)}")
    return Decimal(value).quantize(USD_PLACES, ROUND_HALF_UP)
