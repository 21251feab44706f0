"""QR codes of proxy links: PNG, SVG and text for a terminal."""

from __future__ import annotations

import io

import qrcode
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.pil import PilImage

#: Sides of the PNG in pixels, at least.
MIN_PIXELS = 300
_QUIET_ZONE = 4


def qr_png(text: str) -> bytes:
    """A black and white PNG of at least 300 x 300 pixels, quiet zone included."""
    code = _code(text)
    modules = len(code.modules) + 2 * _QUIET_ZONE
    code.box_size = max(4, -(-MIN_PIXELS // modules))
    buffer = io.BytesIO()
    code.make_image(fill_color="black", back_color="white").save(buffer, format="PNG")
    return buffer.getvalue()


def qr_square(text: str, side: int = MIN_PIXELS) -> bytes:
    """A PNG of exactly side x side pixels, whose modules are whole pixels: what is left over is white. The side must
    have room for them; a code of 300 pixels has it for 1,100 characters, and no link has so many."""
    from PIL import Image

    code = _code(text)
    code.box_size = side // (len(code.modules) + 2 * _QUIET_ZONE)
    made = code.make_image(fill_color="black", back_color="white").get_image().convert("L")
    whole = Image.new("L", (side, side), 255)
    whole.paste(made, ((side - made.width) // 2, (side - made.height) // 2))
    buffer = io.BytesIO()
    whole.save(buffer, format="PNG")
    return buffer.getvalue()


def qr_svg(text: str) -> bytes:
    """A standalone SVG document without styles or scripts, so that a strict CSP lets it through."""
    modules = _code(text).modules
    side = len(modules) + 2 * _QUIET_ZONE
    path = "".join(
        f"M{x + _QUIET_ZONE} {y + _QUIET_ZONE}h1v1h-1z"
        for y, row in enumerate(modules)
        for x, dark in enumerate(row)
        if dark
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" '
        f'width="{max(MIN_PIXELS, side)}" height="{max(MIN_PIXELS, side)}" shape-rendering="crispEdges">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path d="{path}" fill="#000"/></svg>\n'
    ).encode()


def qr_terminal(text: str) -> str:
    """Half-block characters, two modules a line, readable on dark and light terminals alike.

    The colours are set explicitly: black on white, whatever the terminal's own are.
    """
    modules = [[bool(dark) for dark in row] for row in _code(text).get_matrix()]
    if len(modules) % 2:
        modules.append([False] * len(modules[0]))
    blocks = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    lines = (
        "".join(blocks[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(modules[::2], modules[1::2], strict=True)
    )
    return "".join(f"\x1b[30;107m{line}\x1b[0m\n" for line in lines)


def _code(text: str) -> qrcode.QRCode[PilImage]:
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=_QUIET_ZONE, image_factory=PilImage)
    code.add_data(text)
    code.make(fit=True)
    return code
