"""Plots of the Dagster UI are well-formed images that show what they are given."""

from base64 import b64decode
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from ledger_pipeline.defs.plots import bar_chart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(bars: list[tuple[str, Decimal]]) -> ElementTree.Element:
    image = bar_chart("USD by month", bars)
    assert image.startswith("![USD by month](data:image/svg+xml;base64,")
    return ElementTree.fromstring(b64decode(image.partition("base64,")[2].removesuffix(")")))


def test_bars_are_as_high_as_their_values() -> None:
    bars = drawn([("2026-01", Decimal(50)), ("2026-02", Decimal(200)), ("<3", Decimal(0))]).findall(f"{SVG}rect")[1:]
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[1] == 4 * heights[0] > heights[2] == 0


@pytest.mark.parametrize("values", [[], [0], [0, 0], [Decimal("-1"), 3], [1] * 500])
def test_whatever_the_values_there_is_an_image(values: list[Decimal]) -> None:
    svg = drawn([(f"m{n}", Decimal(value)) for n, value in enumerate(values)])
    assert len(svg.findall(f"{SVG}rect")) == len(values) + 1
    assert all(float(bar.attrib["height"]) >= 0 for bar in svg.findall(f"{SVG}rect")[1:])
