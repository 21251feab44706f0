"""The panel as an app that a browser installs: for admins only, in the path that it is served under."""

from __future__ import annotations

import io
import json

from PIL import Image

from tests.web.html import read
from tests.web.visitor import Visitor


def test_the_manifest_names_icons_that_are_there_in_the_size_it_says(admin: Visitor) -> None:
    page = read(admin.get("/").get_data(as_text=True))
    link = next(e.attributes for e in page if e.attributes.get("rel") == "manifest")
    assert link["crossorigin"] == "use-credentials", "else the browser asks as a stranger"
    answer = admin.get(link["href"])
    assert answer.mimetype == "application/manifest+json"
    manifest = json.loads(answer.get_data())
    assert manifest["start_url"] == "/" and manifest["scope"] == "/" and manifest["display"] == "standalone"
    assert {icon["sizes"] for icon in manifest["icons"]} == {"192x192", "512x512"}
    for icon in manifest["icons"]:
        image = Image.open(io.BytesIO(admin.get(icon["src"]).get_data()))
        assert f"{image.width}x{image.height}" == icon["sizes"] and len(image.getcolors(1 << 20) or ()) > 2
    touch = next(e.attributes["href"] for e in page if e.attributes.get("rel") == "apple-touch-icon")
    assert admin.get(touch).mimetype == "image/png"
    assert admin.get("/icon-100000.png").status_code == 404


def test_strangers_are_told_nothing_of_it(stranger: Visitor) -> None:
    login = stranger.get("/login").get_data(as_text=True)
    assert "manifest" not in login.replace("manifest-src", "") and "icon-" not in login
    for path in ("/manifest.webmanifest", "/icon-192.png"):
        assert stranger.get(path).status_code == 302


def test_under_a_sub_path_it_stays_there(admin: Visitor) -> None:
    told = json.loads(admin.get("/manifest.webmanifest", environ_overrides={"SCRIPT_NAME": "/panel"}).get_data())
    assert told["start_url"] == told["scope"] == "/panel/"
    assert all(icon["src"].startswith("/panel/icon-") for icon in told["icons"])
