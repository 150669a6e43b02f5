"""What each mart is: the query, columns, grain and checks of its folder, read into values."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from ledger_pipeline.events.catalogue import EVENT_COLUMNS

FOLDER = Path(__file__).parent
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader in C, where PyYAML has it: the one in Python takes longer for the schemas than a small build."""
_WARNING = "warning: "
_BY_KEY = "by key: "
_STATEMENT = re.compile(r"((?:--[^\n]*\n)+)(.*?);\s*(?=--|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """A column of a mart."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Check:
    """A rule of a mart: the query gives the rows that break it.

    A `warning` tells of what clients recorded, which no build can mend; anything else stops the build. A rule
    `by_key` concerns each value of the mart's `rebuild_by` apart: a build that is continued judges those it touched.
    """

    rule: str
    query: str
    warning: bool = False
    by_key: bool = False


@dataclass(frozen=True)
class Mart:
    """One table of schema `marts`.

    `inputs` are the tables that the query reads, `staging.…` or `marts.…`. `rebuild_by` names the columns, of the mart
    and of every input alike, whose touched values are rebuilt after a delta; empty, the mart is rebuilt whole. A `view`
    stores nothing; its `rebuild_by` says by which columns of its inputs its rules can be judged. `rows_of` is
    the table that has as many rows and is quicker to count.
    """

    name: str
    kind: str
    description: str
    grain: tuple[str, ...]
    inputs: tuple[str, ...]
    rebuild_by: tuple[str, ...]
    view: bool
    rows_of: str
    columns: tuple[Column, ...]
    query: str
    checks: tuple[Check, ...]

    @property
    def table(self) -> str:
        """The qualified name."""
        return f"marts.{self.name}"

    @property
    def types(self) -> dict[str, str]:
        """Column types by name, in order."""
        return {column.name: column.type for column in self.columns}


def parse_checks(text: str) -> tuple[Check, ...]:
    """The checks of a `checks.sql`: each a comment that states the rule, then a SELECT ended by a semicolon.

    The rule may begin with `warning: ` or `by key: `.
    """
    checks: list[Check] = []
    for comment, query in _STATEMENT.findall(text):
        rule = " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
        kind = next((prefix for prefix in (_WARNING, _BY_KEY) if rule.startswith(prefix)), "")
        checks.append(Check(rule.removeprefix(kind), query.strip(), warning=kind == _WARNING, by_key=kind == _BY_KEY))
    return tuple(checks)


def _totals(mart: str, over: str) -> Check:
    """The check of a mart that splits all usage up by something, `over`: its parts add up to the whole."""
    query = (FOLDER / "totals.sql").read_text().strip().format(table=f"marts.{mart}")
    return Check(f"Calls, tokens and costs of all {over} are those of all model calls.", query)


def _load(folder: Path) -> Mart:
    schema: Mapping[str, Any] = yaml.load((folder / "schema.yaml").read_text(), _YAML)  # noqa: S506  a safe one
    over: str | None = schema.get("adds_up_over")
    own = folder / "checks.sql"
    return Mart(
        name=folder.name,
        kind=schema["kind"],
        description=schema["description"].strip(),
        grain=tuple(schema["grain"]),
        inputs=tuple(schema["depends_on"]),
        rebuild_by=tuple(schema.get("rebuild_by", ())),
        view=schema.get("view", False),
        rows_of=schema.get("rows_of", f"marts.{folder.name}"),
        columns=tuple(Column(name, c["type"], c["description"].strip()) for name, c in schema["columns"].items()),
        query=(folder / "query.sql").read_text().strip().removesuffix(";"),
        checks=(
            *([_totals(folder.name, over)] if over else []),
            *(parse_checks(own.read_text()) if own.exists() else ()),
        ),
    )


@cache
def marts() -> dict[str, Mart]:
    """Every mart by name, each after those that it reads."""
    loaded = {path.parent.name: _load(path.parent) for path in sorted(FOLDER.glob("*/query.sql"))}
    graph = {name: {i.removeprefix("marts.") for i in m.inputs if i.startswith("marts.")} for name, m in loaded.items()}
    return {name: loaded[name] for name in TopologicalSorter(graph).static_order()}


@cache
def fingerprint() -> str:
    """A digest of everything that decides what a build holds: a build of another one is not continued."""
    digest = hashlib.sha256(repr(EVENT_COLUMNS).encode())
    for path in sorted(p for p in FOLDER.rglob("*") if p.suffix in {".sql", ".yaml", ".py"}):
        digest.update(f"{path.relative_to(FOLDER)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
