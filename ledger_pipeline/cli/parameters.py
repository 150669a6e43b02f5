"""The kinds of values that options and arguments take, and the options that several commands share."""

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click


class AwareTime(click.ParamType[datetime]):
    """An instant in ISO 8601 with its offset; a naive time is refused, as nobody can say which instant it means."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no ISO 8601 time: write it as 2026-11-20T00:00:00Z", param, ctx)
        if time.tzinfo is None:
            self.fail(f"{value!r} has no time zone: write it as 2026-11-20T00:00:00Z", param, ctx)
        try:
            return time.astimezone(UTC)
        except OverflowError:
            self.fail(f"{value!r} is out of range: years 1 to 9999 in UTC", param, ctx)


class Place(click.ParamType["int | datetime"]):
    """A place in an execution's history: a sequence number from 0, or an instant."""

    name = "seq|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | datetime:
        """A sequence, or the instant in UTC."""
        if isinstance(value, (int, datetime)):
            return value
        if value.isascii() and value.isdigit():
            return int(value)
        return AwareTime().convert(value, param, ctx)


class JsonObject(click.ParamType["dict[str, Any]"]):
    """A JSON object, its numbers exact."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The object."""
        from ledger_pipeline.events.fold import parse_json

        if isinstance(value, dict):
            return value  # pyright: ignore[reportUnknownVariableType]
        try:
            parsed = parse_json(value)
        except (ValueError, RecursionError):
            self.fail(f"{value[:80]!r} is no JSON", param, ctx)
        if not isinstance(parsed, dict):
            self.fail(f"{value[:80]!r} is no JSON object, such as {{}}", param, ctx)
        return parsed


def now_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--now T`: what the command takes for the present; read from the clock only here, at the edge."""
    return click.option(
        "--now",
        type=AwareTime(),
        default=lambda: datetime.now(UTC),
        show_default="the clock",
        metavar="T",
        help="Time that counts as now, with its offset.",
    )(function)


def _login() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return None


def operator_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--operator WHO`: who does it, kept on record."""
    return click.option(
        "--operator", default=_login, required=True, show_default="the login", metavar="WHO", help="Who does it."
    )(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: the answer as JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(function)


def example(*lines: str) -> str:
    """The epilog of a command: its examples, kept as they are written."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)
