"""Small plots as the Dagster UI shows them: an SVG inside of Markdown, without a file, a server or a library."""

from base64 import b64encode
from collections.abc import Sequence
from decimal import Decimal
from html import escape

WIDTH, HEIGHT = 720, 220
_LEFT, _TOP, _BOTTOM = 70, 24, 24
_GRIDLINES = 4


def bar_chart(title: str, bars: Sequence[tuple[str, Decimal]]) -> str:
    """A Markdown image of bars in their order, each with its label; the highest one fills the height."""
    highest = max((value for _, value in bars), default=Decimal(0)) or Decimal(1)
    height, step = HEIGHT - _TOP - _BOTTOM, (WIDTH - _LEFT) / max(len(bars), 1)
    # A label needs about 50 pixels: of many, each second or third one is shown.
    every = max(1, round(50 / step + 0.5))
    parts = [_text(_LEFT, 14, title, "start", 13)]
    for line in range(_GRIDLINES + 1):
        y = _TOP + height * (1 - line / _GRIDLINES)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#bbb"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{highest * line / _GRIDLINES:,.2f}", "end"))
    for place, (label, value) in enumerate(bars):
        x, tall = _LEFT + place * step, max(0.0, height * float(value / highest))
        parts.append(
            f'<rect x="{x + step * 0.1:.1f}" y="{_TOP + height - tall:.1f}" width="{step * 0.8:.1f}" '
            f'height="{tall:.1f}" fill="#4f43dd"/>'
        )
        if place % every == 0:
            parts.append(_text(x + step / 2, HEIGHT - 6, label, "middle"))
    body = f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">{body}</svg>'
    return f"![{title}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"


def _text(x: float, y: float, text: str, anchor: str, size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-family="sans-serif" fill="#333" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
