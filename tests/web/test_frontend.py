"""The front-end's build: pinned, and the same on every machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

FRONTEND = Path(__file__).parents[2] / "app/web/frontend"


def test_every_package_is_pinned_by_hash_and_no_address_is() -> None:
    lock = json.loads((FRONTEND / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert {"node_modules/tailwindcss", "node_modules/uplot"} <= packages.keys()
    for name, package in packages.items():
        assert "resolved" not in package, name
        assert package.get("inBundle") or package["integrity"].startswith("sha512-"), name
        # One that the registry lacked when the file was made would stop `npm ci` everywhere.
        for other in package.get("optionalDependencies", ()):
            assert f"node_modules/{other}" in packages, f"{name} wants {other}, which is not locked"
    wanted = json.loads((FRONTEND / "package.json").read_text())["devDependencies"].values()
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted)


def test_the_stylesheet_holds_what_the_templates_use() -> None:
    css = (FRONTEND.parent / "static/build/panel.css").read_text()
    for name in (".btn-primary", ".state-running", ".sr-only", ".rows", "data-theme"):
        assert name in css, f"{name} is missing: cd app/web/frontend && npm ci && npm run build"


def test_what_pages_load_of_others_is_there_as_npm_has_it() -> None:
    table = (FRONTEND / "vendor.mjs").read_text()
    files = dict(re.findall(r'^  "([^"]+)": "([^"]+)",$', table, re.MULTILINE))
    vendor = FRONTEND.parent / "static/build/vendor"
    assert {path.name for path in vendor.iterdir()} == files.keys()
    for name in files:
        assert (vendor / name).stat().st_size > 500, name


def test_every_font_that_the_stylesheet_names_is_there() -> None:
    build = FRONTEND.parent / "static/build"
    named = re.findall(r"url\(([^)]*woff2)\)", (build / "panel.css").read_text())
    assert len(named) == 4
    for name in named:
        assert (build / name.strip("\"'")).exists(), name
