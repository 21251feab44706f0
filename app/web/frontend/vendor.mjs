// Copies what pages load as it comes from npm into ../static/build/vendor/: a library or a font is a line here.
import { copyFileSync, mkdirSync, rmSync } from "node:fs";

const FILES = {
  "htmx.js": "htmx.org/dist/htmx.min.js",
  "idiomorph.js": "idiomorph/dist/idiomorph-ext.min.js",
  "uplot.js": "uplot/dist/uPlot.iife.min.js",
  "uplot.css": "uplot/dist/uPlot.min.css",
  "inter-latin.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
  "inter-latin-ext.woff2": "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2",
  "inter-cyrillic.woff2": "@fontsource-variable/inter/files/inter-cyrillic-wght-normal.woff2",
  "inter-cyrillic-ext.woff2": "@fontsource-variable/inter/files/inter-cyrillic-ext-wght-normal.woff2",
  "inter-LICENSE.txt": "@fontsource-variable/inter/LICENSE",
};

const here = (path) => new URL(path, import.meta.url);
const vendor = here("../static/build/vendor/");
rmSync(vendor, { recursive: true, force: true });
mkdirSync(vendor, { recursive: true });
for (const [name, path] of Object.entries(FILES)) copyFileSync(here(`node_modules/${path}`), new URL(name, vendor));
