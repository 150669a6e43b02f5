"""An answer as values that JSON has: money as decimal strings, free JSON with its numbers as they were recorded."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID


def plain_answer(answer: Any) -> Any:
    """The answer without dataclasses, times in ISO 8601; only values of free JSON still hold decimals.

    Write it with an encoder that writes those as numbers, such as simplejson's `use_decimal`.
    """
    match answer:
        case Enum():
            return answer.value
        case Decimal():
            return format(answer, "f")
        case datetime() | date():
            return answer.isoformat().replace("+00:00", "Z")
        case UUID():
            return str(answer)
        case Mapping():
            return {str(name): plain_answer(value) for name, value in answer.items()}
        case list() | tuple():
            return [plain_answer(value) for value in answer]
        case _ if is_dataclass(answer):
            # Any is how a record declares free JSON, which is plain already.
            return {
                field.name: value if field.type is Any else plain_answer(value)
                for field in fields(answer)
                for value in [getattr(answer, field.name)]
            }
        case _:
            return answer
