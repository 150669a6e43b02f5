"""Small real files of the kinds that workflows produce: JSON, a PDF with text, a PNG with a bar chart."""

import json
import struct
import zlib
from collections.abc import Sequence
from typing import Any

_PAGE_WIDTH, _PAGE_HEIGHT = 595, 842
"""A4 in points."""
_WIDTH, _HEIGHT, _MARGIN = 640, 360, 40
_WHITE, _GREY, _BLACK = (255, 255, 255), (222, 222, 222), (60, 60, 60)
_BARS = ((46, 110, 180), (226, 131, 52), (88, 160, 90), (170, 84, 140))

Colour = tuple[int, int, int]


def json_document(value: Any) -> bytes:
    """A value as indented JSON."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def pdf_document(title: str, lines: Sequence[str]) -> bytes:
    """One A4 page of Helvetica (PDF 1.4, ISO 32000-1 §7.5): a title and a line each below it; Latin-1 only."""
    text = [f"BT /F1 18 Tf 56 {_PAGE_HEIGHT - 80} Td ({_escaped(title)}) Tj /F1 11 Tf 0 -34 Td 16 TL"]
    text += [f"({_escaped(line)}) Tj T*" for line in lines]
    content = "\n".join([*text, "ET"]).encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_PAGE_WIDTH} {_PAGE_HEIGHT}]"
        " /Resources << /Font << /F1 4 0 R >> >> /Contents 5 0 R >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Title (%s) >>" % _escaped(title).encode("latin-1"),
    ]
    # The second line tells tools that the file is binary.
    document = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places: list[int] = []
    for number, body in enumerate(objects, start=1):
        places.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for place in places:
        document += b"%010d 00000 n \n" % place
    document += b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(document)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def png_bar_chart(title: str, values: Sequence[float]) -> bytes:
    """A bar a value over grid lines, 640 × 360, eight bits a colour (PNG, RFC 2083); the title is in its text."""
    pixels = [[_WHITE] * _WIDTH for _ in range(_HEIGHT)]
    bottom, height = _HEIGHT - _MARGIN, _HEIGHT - 2 * _MARGIN
    for line in range(1, 5):
        _fill(pixels, _MARGIN, bottom - height * line // 4, _WIDTH - 2 * _MARGIN, 1, _GREY)
    slot = (_WIDTH - 2 * _MARGIN) // len(values)
    for nth, value in enumerate(values):
        tall = round(height * value / max(values))
        _fill(pixels, _MARGIN + nth * slot + slot // 6, bottom - tall, slot * 2 // 3, tall, _BARS[nth % len(_BARS)])
    _fill(pixels, _MARGIN, bottom, _WIDTH - 2 * _MARGIN, 2, _BLACK)
    # Each row begins with its filter: none.
    rows = b"".join(b"\x00" + bytes(part for pixel in row for part in pixel) for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            _chunk(b"IHDR", struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 2, 0, 0, 0)),
            _chunk(b"tEXt", b"Title\x00" + title.encode("latin-1")),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _fill(pixels: list[list[Colour]], left: int, top: int, width: int, height: int, colour: Colour) -> None:
    for row in pixels[top : top + height]:
        row[left : left + width] = [colour] * width


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
