"""Periods of budgets, in UTC: when the one of an instant begins, and what it is called."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Period(StrEnum):
    """How long a budget's limit holds before it is counted from zero again."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


def begins(period: Period, at: datetime) -> datetime:
    """The first instant of the period that an instant lies in; weeks begin on Monday."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAY:
            return day
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)
        case Period.QUARTER:
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case Period.YEAR:
            return day.replace(month=1, day=1)


def name(period: Period, begin: datetime) -> str:
    """What the period that begins then is called: 2026-11-25, 2026-W48 (ISO 8601), 2026-11, 2026-Q4 or 2026."""
    match period:
        case Period.DAY:
            return f"{begin:%Y-%m-%d}"
        case Period.WEEK:
            return f"{begin:%G-W%V}"
        case Period.MONTH:
            return f"{begin:%Y-%m}"
        case Period.QUARTER:
            return f"{begin:%Y}-Q{(begin.month + 2) // 3}"
        case Period.YEAR:
            return f"{begin:%Y}"
