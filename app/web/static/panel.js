// What JavaScript adds to pages that work without it, beside htmx: theme, copying, choosing, following logs, dialogs.
"use strict";

// What is said here stands in the page, in its language.
const announcer = document.querySelector("[data-announcer]");
const said = announcer.dataset;
const announce = (text) => { announcer.textContent = text; };

// A kept address that ends in what stands on another page now.
if (/^#[a-z0-9-]+$/.test(location.hash)) document.querySelector(`.moved${location.hash}`)?.click();

// --- theme: the system's until one is chosen here; the server reads the cookie, so the next page comes in the right
// colours at once

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const light = (root.dataset.theme || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark")) === "light";
    root.dataset.theme = light ? "dark" : "light";
    document.querySelector("meta[name=color-scheme]").content = root.dataset.theme;
    document.cookie = `theme=${root.dataset.theme}; path=${root.dataset.path}; max-age=31536000; samesite=lax`;
    announce(said[root.dataset.theme]);
  });
}

// --- copying: navigator.clipboard exists on https and localhost only; panels often are on plain http

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = document.createElement("textarea");
    box.value = text;
    box.readOnly = true;
    box.className = "sr-only";
    const before = document.activeElement;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    before?.focus();
    return done;
  }
}

// data-copy: the text; data-copy-from: the address of a page that is the text, for lists that hold no secrets.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const text = button.dataset.copy ?? await fetch(button.dataset.copyFrom, { redirect: "error" })
    .then((answer) => answer.ok ? answer.text() : "").catch(() => "");
  const done = text !== "" && await copy(text);
  const label = button.querySelector("[data-copy-label]");
  label.dataset.before ??= label.textContent;
  label.textContent = done ? said.copied : text ? said.press : said.again;
  announce(done ? said.linkCopied : said.denied);
  if (!done) button.parentElement.querySelector("[data-select]")?.select();
  setTimeout(() => { label.textContent = label.dataset.before; }, 2500);
});

// Ticking the box above a list ticks those of its page.
document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-choose-all]")) return;
  for (const box of document.querySelectorAll("[name=id]")) box.checked = event.target.checked;
});

document.addEventListener("focusin", (event) => {
  if (event.target.matches?.("[data-select]")) event.target.select();
});

// --- live parts (data-live): htmx asks for them again, and idiomorph changes what differs, so that nothing flickers
// and focus, selection and scroll stay where they are

const offline = document.querySelector("[data-offline]");

// When this page began to lead elsewhere, for which the answer of a form may need some seconds: until then the live parts
// are left alone. What they show may be gone by that form, and a reload would take its answer away.
let leaving = -Infinity;
addEventListener("beforeunload", () => { leaving = performance.now(); });
const isLeaving = () => performance.now() - leaving < 15000;

if (window.Idiomorph) {
  // What somebody has opened or ticked, or is typing, stays.
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (element, fresh) => !element.isEqualNode(fresh);
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => name !== "open" && name !== "checked"
    && (name !== "value" || element !== document.activeElement);
}

document.addEventListener("htmx:configRequest", (event) => {
  // An address says what is asked for, and no more.
  const { parameters, verb, triggeringEvent } = event.detail;
  // One form stands for the buttons of all rows, and each says where it leads.
  event.detail.path = triggeringEvent?.submitter?.getAttribute("formaction") ?? event.detail.path;
  if (verb === "get") for (const name of Object.keys(parameters)) if (parameters[name] === "") delete parameters[name];
  const part = event.detail.elt;
  if (!part.matches("[data-live]")) return;
  if (document.hidden || isLeaving() || part.matches(":has([data-follow][aria-checked=false]) [data-log]")) event.preventDefault();
  else if (part.dataset.tag) event.detail.headers["If-None-Match"] = part.dataset.tag;
});

const parsed = (text) => Object.assign(document.createElement("template"), { innerHTML: text }).content;

// Of a list, the rows that are others now: one at a time, so that a slow phone answers a finger in between.
let rows = [];

async function showRows(text) {
  const idle = rows.length === 0;
  rows.push(...text.split(/(?=<tr )/));
  while (idle && rows.length > 0) {
    await new Promise((resolve) => { setTimeout(resolve); });
    const row = parsed(rows.shift() ?? "").firstElementChild;
    const here = row && document.getElementById(row.id);
    if (here) Idiomorph.morph(here, row);
  }
}

// The session has ended, or the user is gone: the page itself will say so.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { pathInfo, requestConfig: { elt }, xhr } = event.detail;
  const { pathname } = new URL(xhr.responseURL);
  const elsewhere = elt.matches("[data-live]") && pathname !== new URL(pathInfo.finalRequestPath, location.href).pathname;
  if (elsewhere || pathname.endsWith("/login") || xhr.status === 404) {
    event.preventDefault();
    // A field that is checked as it is left stays: what was typed is lost by a reload.
    if (elt.matches("[data-live], form, a, button") && !isLeaving()) location.reload();
  } else if (xhr.getResponseHeader("HX-Reswap") === "none") {
    event.detail.shouldSwap = false;
    showRows(xhr.responseText);
  } else if (elt === followed && event.detail.shouldSwap) {
    event.detail.shouldSwap = false;
    showLines(parsed(xhr.responseText));
  } else if (event.detail.target.id === "list") rows = []; // all of it comes, and what was to come is older
});

document.addEventListener("htmx:afterRequest", ({ detail: { elt, xhr, successful } }) => {
  offline.hidden = Boolean(successful);
  if (successful && elt.matches("[data-live]")) elt.dataset.tag = xhr.getResponseHeader("ETag") ?? "";
});

// --- the log: what is there stays there, new lines come below it, old ones leave above it

const followed = document.querySelector("[data-log]");

// How many of the lines that are here are the first of the fresh ones.
function overlap(here, fresh) {
  for (let count = Math.min(here.length, fresh.length); count > 0; count -= 1) {
    const from = here.length - count;
    if (fresh.slice(0, count).every((line, index) => line === here[from + index])) return count;
  }
  return 0;
}

function showLines(fresh) {
  Idiomorph.morph(followed.querySelector("[data-log-notices]"), fresh.querySelector("[data-log-notices]"));
  // While the logs can't be read, the lines that were read before are better than none.
  if (fresh.querySelector("[data-log-problem]")) return;
  const box = followed.querySelector("[data-log-box]");
  const lines = box.querySelector("[data-log-lines]");
  const here = [...lines.children];
  const wanted = [...fresh.querySelector("[data-log-lines]").children];
  const kept = overlap(here.map((line) => line.outerHTML), wanted.map((line) => line.outerHTML));
  const last = kept ? here.at(-1) : null;
  const before = last?.getBoundingClientRect().top;
  const atEnd = Math.abs(box.scrollTop) < 8; // the box is reversed: it counts from its end
  here.slice(0, here.length - kept).forEach((line) => line.remove());
  lines.append(...wanted.slice(kept));
  if (atEnd) box.scrollTop = 0;
  else if (last) box.scrollTop += last.getBoundingClientRect().top - before;
}

for (const button of document.querySelectorAll("[data-follow]")) {
  button.addEventListener("click", () => button.setAttribute("aria-checked", String(!button.matches("[aria-checked=true]"))));
}

// --- a menu closes by Escape, by a click elsewhere, and when something of it was chosen

document.addEventListener("click", (event) => {
  const opened = event.target.closest(".menu > summary")?.parentElement;
  for (const menu of document.querySelectorAll(".menu[open]")) if (menu !== opened) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest(".menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// --- questions as dialogs; without script the same question is a page of its own

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-dialog]");
  if (!link) return;
  event.preventDefault();
  document.getElementById(link.dataset.dialog).showModal();
});

// --- half a date in sight would be sent as nothing, and what was there be lost

document.addEventListener("submit", (event) => {
  const unread = [...event.target.elements].find((field) => field.validity?.badInput && field.offsetParent);
  if (!unread) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  unread.reportValidity();
}, true);

// --- a button that takes its time says so, and is not pressed twice

let waiting = null;

document.addEventListener("submit", (event) => {
  if (waiting?.form === event.target) return event.preventDefault();
  const label = event.submitter?.dataset.busyLabel;
  if (!label) return;
  const text = event.submitter.lastChild;
  waiting = { form: event.target, text, before: text.nodeValue };
  text.nodeValue = label;
  announce(label);
});

// Whoever comes back to the page by the browser's own button finds it as it was.
window.addEventListener("pageshow", () => {
  if (waiting) waiting.text.nodeValue = waiting.before;
  waiting = null;
});
