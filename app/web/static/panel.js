// What JavaScript adds to pages that work without it: theme, copying, live numbers, search, dialogs.
"use strict";

const announce = (text) => { document.querySelector("[data-announcer]").textContent = text; };

// --- theme: the server reads the cookie, so the next page comes in the right colours at once

for (const button of document.querySelectorAll("[data-theme-toggle]")) {
  button.addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
    document.cookie = `theme=${root.dataset.theme}; path=${root.dataset.path}; max-age=31536000; samesite=lax`;
    announce(`${root.dataset.theme} theme`);
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

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const done = await copy(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]");
  label.dataset.before ??= label.textContent;
  label.textContent = done ? "Copied" : "Press Ctrl+C";
  announce(done ? "Link copied" : "Copying is not allowed here. The link is selected: press Control C.");
  if (!done) button.parentElement.querySelector("[data-select]")?.select();
  setTimeout(() => { label.textContent = label.dataset.before; }, 2500);
});

document.addEventListener("focusin", (event) => {
  if (event.target.matches?.("[data-select]")) event.target.select();
});

// --- live numbers: fetch the region's HTML again and change only what differs, so that
// nothing flickers and focus, selection and scroll stay where they are

function morph(now, wanted) {
  // What somebody has opened stays open.
  for (const { name } of [...now.attributes]) if (name !== "open" && !wanted.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of wanted.attributes) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  morphChildren(now, wanted);
}

function morphChildren(now, wanted) {
  const old = [...now.childNodes];
  const fresh = [...wanted.childNodes];
  fresh.forEach((node, index) => {
    const here = old[index];
    if (!here) now.append(node);
    else if (here.nodeName !== node.nodeName || here.id !== node.id) here.replaceWith(node);
    else if (node.nodeType === Node.ELEMENT_NODE) morph(here, node);
    else if (here.nodeValue !== node.nodeValue) here.nodeValue = node.nodeValue;
  });
  old.slice(fresh.length).forEach((node) => node.remove());
}

const EVERY = 5000;
const offline = document.querySelector("[data-offline]");

const sleep = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

// Gives the part of a page at this address to `show`, unless it is still the one with `tag`. Returns its tag.
async function load(address, show, tag = "") {
  try {
    const patience = AbortSignal.timeout(15000);
    const headers = tag ? { "If-None-Match": tag } : {};
    const answer = await fetch(address, { redirect: "manual", signal: patience, headers });
    // A redirect means that the session has ended, a 404 that the user is gone: the page itself will say so.
    if (answer.type === "opaqueredirect" || answer.status === 404) return location.reload();
    if (!answer.ok && answer.status !== 304) throw new Error(String(answer.status));
    if (answer.ok) {
      // A template keeps the white space that a parsed document drops: node by node it is the same again.
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      show(fresh.content);
    }
    offline.hidden = true;
    return answer.headers.get("ETag") ?? tag;
  } catch {
    offline.hidden = false;
    return tag;
  }
}

async function refresh(region) {
  await load(region.dataset.refresh, (fresh) => {
    morphChildren(region, fresh);
    filter();
  });
}

async function keepFresh(region) {
  for (;;) {
    await sleep(EVERY);
    if (!document.hidden) await refresh(region);
  }
}

// --- search as you type: as the server compares (fold in app/config/names.py)

const fold = (text) => Array.from(text.normalize("NFKD").replace(/[\p{M}\p{Cf}]/gu, ""), (c) => c.toLowerCase().toUpperCase().toLowerCase()).join("");

const search = document.querySelector("[data-filter]");

function filter() {
  if (!search) return;
  const words = fold(search.value.trim());
  let shown = 0;
  for (const row of document.querySelectorAll("[data-haystack]")) {
    row.hidden = !row.dataset.haystack.includes(words);
    if (!row.hidden) shown += 1;
  }
  const nobody = document.querySelector("[data-no-match]");
  if (nobody) {
    nobody.hidden = shown > 0;
    nobody.previousElementSibling.hidden = shown === 0;
  }
  return shown;
}

search?.addEventListener("input", () => announce(`${filter()} found`));
document.querySelector("[data-filter-form]")?.addEventListener("submit", (event) => event.preventDefault());

for (const region of document.querySelectorAll("[data-refresh]")) {
  // The server has left out what did not match ?q=; the search needs all of them.
  if (search?.value) refresh(region);
  keepFresh(region);
}

// --- the log: what is there stays there, new lines come below it, old ones leave above it

const FOLLOW_EVERY = 2000;
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
  const problem = fresh.querySelector("[data-log-problem]");
  morphChildren(followed.querySelector("[data-log-notices]"), fresh.querySelector("[data-log-notices]"));
  // While the logs can't be read, the lines that were read before are better than none.
  if (problem) return;
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

async function follow(button) {
  for (let tag = ""; ;) {
    const wanted = !document.hidden && button.getAttribute("aria-checked") === "true";
    if (wanted) tag = await load(followed.dataset.log, showLines, tag);
    await sleep(FOLLOW_EVERY);
  }
}

for (const button of document.querySelectorAll("[data-follow]")) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-checked", String(button.getAttribute("aria-checked") !== "true"));
  });
  follow(button);
}

// --- questions as dialogs; without script the same question is a page of its own

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-dialog]");
  if (!link) return;
  event.preventDefault();
  document.getElementById(link.dataset.dialog).showModal();
});

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
