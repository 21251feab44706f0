// The chart of traffic: drawn by uPlot in place of the picture that the server sent, read by mouse, finger, arrow keys
// and screen reader. All words and numbers of it are the server's.
"use strict";

const REFRESH = { hour: 10000, day: 60000, month: 60000, year: 60000 };

function drawChart(section) {
  const place = section.querySelector("[data-chart-plot]");
  const links = [...section.querySelectorAll("[data-period]")];
  const announcer = document.querySelector("[data-announcer]");
  let data = null, tag = "", plot = null, asked = 0;
  let period = section.dataset.chart;

  const colour = (name) => getComputedStyle(section).getPropertyValue(name).trim();
  const tip = document.createElement("div");
  tip.className = "chart-tip";
  tip.hidden = true;

  // What stands in the tip, built of text nodes: nothing of it is ever read as HTML.
  function tell(index) {
    const [down, up, all, before] = data.texts[index];
    const rows = [["key key-down", section.dataset.down, down], ["key key-up", section.dataset.up, up], ["", section.dataset.all, all]];
    if (data.before) rows.push(["key key-before", data.before_name, before]);
    const title = document.createElement("strong");
    title.textContent = data.moments[index];
    tip.replaceChildren(title, ...rows.flatMap(([style, name, text]) => {
      const [key, value] = [document.createElement("span"), document.createElement("span")];
      key.className = style;
      key.textContent = name;
      value.textContent = text;
      return [key, value];
    }));
    return [data.moments[index], ...rows.map(([, name, text]) => `${name}: ${text}`)].join(", ");
  }

  function point(index) {
    const wide = place.clientWidth;
    tip.hidden = index === null || index === undefined;
    if (tip.hidden) return;
    const text = tell(index);
    place.setAttribute("aria-valuenow", index);
    place.setAttribute("aria-valuetext", text);
    const at = plot.over.offsetLeft + plot.valToPos(index, "x");
    const half = tip.offsetWidth / 2;
    tip.style.left = `${Math.max(0, Math.min(wide - 2 * half, at - half))}px`;
  }

  function bars(size) { return uPlot.paths.bars({ size: [size, 64], radius: size < 1 ? 0.18 : 0 }); }

  function options(count) {
    const line = { stroke: colour("--line"), width: 1 };
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = { stroke: colour("--soft"), font, ticks: { show: false } };
    return {
      width: place.clientWidth, height: place.clientWidth < 520 ? 200 : 250, padding: [14, 4, 0, 0], legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: [-0.5, count - 0.5] }, y: { range: () => [0, data.ticks.at(-1)[0]] } },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 54, incrs: [1, 2, 3, 5, 6, 10, 12, 15],
          values: (_, splits) => splits.map((index) => data.labels[index] ?? "") },
        { ...axis, grid: line, size: (u, values) => Math.ceil(Math.max(...(values ?? [""]).map((text) => u.ctx.measureText(text).width)) / devicePixelRatio) + 14,
          splits: () => data.ticks.map(([value]) => value), values: () => data.ticks.map(([, text]) => text) },
      ],
      series: [
        {},
        { paths: bars(1), fill: colour("--chart-before"), width: 0, points: { show: false } },
        { paths: bars(0.7), fill: colour("--accent"), width: 0, points: { show: false } },
        { paths: bars(0.7), fill: colour("--chart-up"), width: 0, points: { show: false } },
      ],
      hooks: { setCursor: [(u) => point(u.cursor.idx)] },
    };
  }

  // One pile: uploaded below, downloaded on it.
  const columns = () => [data.at.map((_, index) => index), data.before ?? data.at.map(() => null),
                         data.down.map((down, index) => down + data.up[index]), data.up];

  function draw() {
    plot?.destroy();
    place.replaceChildren(tip);
    plot = new uPlot(options(data.at.length), columns(), place);
  }

  function write() {
    place.setAttribute("aria-valuemax", data.at.length - 1);
    place.setAttribute("aria-valuenow", data.at.length - 1);
    place.setAttribute("aria-valuetext", data.summary);
    section.querySelector("[data-chart-summary]").textContent = data.summary;
    const before = section.querySelector("[data-chart-before]");
    before.hidden = !data.before;
    before.textContent = data.before_name;
    section.querySelector("[data-chart-rows]").replaceChildren(...data.moments.map((moment, index) => {
      const row = document.createElement("tr");
      const [down, up, , earlier] = data.texts[index];
      row.append(...[moment, down, up, earlier].map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    }).reverse());
  }

  // The numbers of the chosen period; kept as they are while the panel does not answer, which another part says.
  async function load() {
    const mine = asked += 1;
    const link = links.find((each) => each.hasAttribute("aria-current"));
    try {
      const answer = await fetch(link.dataset.period, {
        headers: tag ? { "If-None-Match": tag } : {}, redirect: "manual", signal: AbortSignal.timeout(15000) });
      if (!answer.ok || mine !== asked) return;
      tag = answer.headers.get("ETag") ?? "";
      const fresh = await answer.json();
      if (mine !== asked) return;
      const same = data?.period === fresh.period;
      data = fresh;
      if (plot && same) plot.setData(columns());
      else draw();
      write();
      if (!tip.hidden) point(plot.cursor.idx);
    } catch { /* the next time */ }
  }

  links.forEach((link) => link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    links.forEach((each) => each.removeAttribute("aria-current"));
    link.setAttribute("aria-current", "true");
    period = new URL(link.href).searchParams.get("period");
    history.replaceState(history.state, "", link.href);
    tag = "";
    load().then(() => { announcer.textContent = data?.summary ?? ""; });
  }));

  place.tabIndex = 0;
  place.setAttribute("role", "slider");
  place.setAttribute("aria-label", place.dataset.label);
  place.setAttribute("aria-valuemin", "0");
  place.setAttribute("aria-valuenow", "0");
  place.addEventListener("keydown", (event) => {
    if (!plot) return;
    const last = data.at.length - 1;
    const now = plot.cursor.idx ?? last + 1;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, ArrowDown: now - 1, ArrowUp: now + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") plot.setCursor({ left: -10, top: -10 });
    if (to === undefined) return;
    event.preventDefault();
    plot.setCursor({ left: plot.valToPos(Math.max(0, Math.min(last, to)), "x"), top: 20 });
  });
  place.addEventListener("blur", () => plot?.setCursor({ left: -10, top: -10 }));
  // A finger: across it reads the chart, up and down it scrolls the page.
  place.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "touch" || !plot) return;
    const box = plot.over.getBoundingClientRect();
    plot.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
  });

  let wide = 0;
  new ResizeObserver(() => {
    if (plot && place.clientWidth !== wide) plot.setSize({ width: place.clientWidth, height: plot.height });
    wide = place.clientWidth;
  }).observe(place);
  const colours = () => { if (plot) draw(); };
  new MutationObserver(colours).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", colours);

  (async () => {
    for (;;) {
      if (!document.hidden) await load();
      await new Promise((resolve) => { setTimeout(resolve, REFRESH[period] ?? 60000); });
    }
  })();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) load(); });
}

document.querySelectorAll("[data-chart]").forEach(drawChart);
