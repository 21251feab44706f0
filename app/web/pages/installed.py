"""What a browser needs to install the panel as an app of its own: the manifest, and icons in the sizes that systems
want. Only whoever is logged in gets them: strangers are not told what runs here."""

from __future__ import annotations

import io
import json
from functools import lru_cache

from flask import Blueprint, Response, abort, request, send_file, url_for
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, gettext
from PIL import Image, ImageDraw

blueprint = Blueprint("installed", __name__)

#: Pixels: of iOS, and of the manifest.
SIZES = (180, 192, 512)

#: The mark of static/favicon.svg, in its units of 32: a paper plane, and the fold in it.
_PLANE = ((7, 15.6), (25, 8), (20.8, 24.6), (15.3, 19.4), (12.2, 22.8), (11.7, 17.5))
_FOLD = ((11.7, 17.5), (20.9, 11.5), (15.3, 19.4))
_GROUND, _INK, _CANVAS = "#5cc1f5", "#06202f", "#0e131a"


@blueprint.get("/manifest.webmanifest")
def manifest() -> ResponseReturnValue:
    """https://www.w3.org/TR/appmanifest/"""
    name = gettext("Proxy Manager")
    icons = [{"src": url_for(".icon", size=size), "sizes": f"{size}x{size}", "type": "image/png",
              # Systems cut it to a shape of theirs: its colour goes to the edges, and the mark keeps away from them.
              "purpose": "any maskable"} for size in SIZES[1:]]
    return Response(json.dumps({
        "name": name, "short_name": name, "lang": str(get_locale() or "en"), "id": request.script_root + "/",
        "start_url": url_for("dashboard.index"), "scope": request.script_root + "/", "display": "standalone",
        "background_color": _CANVAS, "theme_color": _CANVAS, "icons": icons}), mimetype="application/manifest+json")


@blueprint.get("/icon-<int:size>.png")
def icon(size: int) -> ResponseReturnValue:
    """The mark of the panel, of one of SIZES."""
    if size not in SIZES:
        abort(404)
    return send_file(io.BytesIO(_drawn(size)), mimetype="image/png")


@lru_cache(maxsize=len(SIZES))
def _drawn(size: int) -> bytes:
    # Four times as large, and made smaller: so its edges are smooth.
    large, unit = size * 4, size * 4 / 32
    image = Image.new("RGB", (large, large), _GROUND)
    pen = ImageDraw.Draw(image)
    for shape, colour in ((_PLANE, _INK), (_FOLD, _GROUND)):
        pen.polygon([(16 * unit + (x - 16) * unit * 0.85, 16 * unit + (y - 16) * unit * 0.85) for x, y in shape],
                    fill=colour)
    png = io.BytesIO()
    image.resize((size, size), Image.Resampling.LANCZOS).save(png, "PNG", optimize=True)
    return png.getvalue()
