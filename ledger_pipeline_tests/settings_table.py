"""The README's table of settings; `python -m ledger_pipeline_tests.settings_table` writes it."""

from pathlib import Path

from ledger_pipeline.settings import Settings

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def settings_table() -> str:
    """A Markdown table with a line a setting."""
    lines = ["| variable | default | |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `LEDGER_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines)


def main() -> None:
    """Writes the table between its marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{settings_table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
