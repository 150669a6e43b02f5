"""The data dictionary in docs/ is the one that catalogue and marts give."""

from pathlib import Path

from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.dictionary import data_dictionary

DOCUMENT = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


def test_the_data_dictionary_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == data_dictionary(), f"run: python -m ledger_pipeline.marts.dictionary {DOCUMENT}"


def test_every_column_of_every_mart_is_described() -> None:
    bare = [f"{m.name}.{c.name}" for m in marts().values() for c in m.columns if not c.description.endswith(".")]
    assert bare == []
