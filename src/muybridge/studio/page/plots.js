// Plots over time: small SVG line charts and bars that share one cursor.
const NS = "http://www.w3.org/2000/svg", PLOT = { w: 520, h: 150, left: 40, right: 6, top: 8, bottom: 20 };
const cursors = [];
function svg(tag, attributes, parent) {
  const e = document.createElementNS(NS, tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  parent?.append(e);
  return e;
}
const px = (i) => PLOT.left + (frameCount > 1 ? i / (frameCount - 1) : 0.5) * (PLOT.w - PLOT.left - PLOT.right);
function ticks(low, high, wanted) {
  const raw = (high - low) / wanted || 1, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find((m) => m * power >= raw) * power;
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) out.push(+v.toFixed(6));
  return out;
}
const shortNumber = (v) => Math.abs(v) >= 1000 ? `${+(v / 1000).toFixed(1)}k` : String(+v.toFixed(3));
function frameOf(chart, event) {
  const box = chart.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * PLOT.w;
  return Math.max(0, Math.min(frameCount - 1, Math.round((x - PLOT.left) / (PLOT.w - PLOT.left - PLOT.right) * (frameCount - 1))));
}
function panel(title, describe, height) {
  const holder = document.createElement("div");
  holder.className = "plot";
  const head = document.createElement("h3");
  head.textContent = title;
  const chart = svg("svg", { viewBox: `0 0 ${PLOT.w} ${height}`, role: "img", "aria-label": describe });
  holder.append(head, chart);
  $$("plots").append(holder);
  let held = false;
  const seek = (e) => change({ frame: frameOf(chart, e), playing: false });
  chart.addEventListener("pointerdown", (e) => { held = true; chart.setPointerCapture(e.pointerId); seek(e); });
  chart.addEventListener("pointermove", (e) => held && seek(e));
  for (const kind of ["pointerup", "pointercancel"]) chart.addEventListener(kind, () => held = false);
  return { holder, chart };
}
function timeAxis(chart, bottom) {
  const last = frameCount ? seconds(frameCount - 1) : 0;
  for (const t of ticks(0, last, 6)) {
    const x = last ? PLOT.left + t / last * (PLOT.w - PLOT.left - PLOT.right) : px(0);
    svg("text", { x, y: bottom + 14, "text-anchor": "middle" }, chart).textContent = `${shortNumber(t)} s`;
  }
}
function thin(values, most = 700) { // the extreme of each bin stays, so that no spike is lost
  if (values.length <= most) return values.map((v, i) => [i, v]);
  const size = values.length / most, out = [];
  for (let b = 0; b < most; b++) {
    let best = [Math.floor(b * size), null];
    for (let i = Math.floor(b * size); i < (b + 1) * size && i < values.length; i++) if (values[i] != null && (best[1] == null || values[i] > best[1])) best = [i, values[i]];
    out.push(best);
  }
  return out;
}
function lineChart(title, unit, series, floorZero = true) {
  const known = series.flatMap((s) => s.values.filter((v) => v != null)).sort((a, b) => a - b);
  if (!known.length) return;
  const spread = known[Math.floor(known.length * 0.995)] ?? known.at(-1); // one spike must not flatten the rest
  let low = floorZero ? Math.min(0, known[0]) : known[0], high = Math.max(spread * 1.12, low + 1e-3);
  if (!floorZero) { const pad = (high - low) * 0.08; low -= pad; }
  const { holder, chart } = panel(`${title}, ${unit}`, `${title} in ${unit}: ${series.map((s) => `${label(s.name)} ${summary(s.values)}`).join("; ")}`, PLOT.h);
  const y = (v) => PLOT.h - PLOT.bottom - (Math.min(v, high) - low) / (high - low) * (PLOT.h - PLOT.top - PLOT.bottom);
  for (const v of ticks(low, high, 4)) {
    svg("line", { x1: PLOT.left, x2: PLOT.w - PLOT.right, y1: y(v), y2: y(v), class: "axis" }, chart);
    svg("text", { x: PLOT.left - 7, y: y(v) + 4, "text-anchor": "end" }, chart).textContent = shortNumber(v);
  }
  timeAxis(chart, PLOT.h - PLOT.bottom);
  series.forEach((s) => {
    let d = "", pen = "M";
    for (const [i, v] of thin(s.values)) if (v == null) pen = "M"; else { d += `${pen}${px(i).toFixed(1)} ${y(v).toFixed(1)}`; pen = "L"; }
    svg("path", { d, class: "line", style: `stroke: var(${s.colour})` }, chart);
    if (s.values.length === 1 && s.values[0] != null) svg("circle", { cx: px(0), cy: y(s.values[0]), r: 3, style: `fill: var(${s.colour})` }, chart);
  });
  addCursor(chart, PLOT.h - PLOT.bottom);
  addNames(holder, series);
}
const summary = (values) => { const v = values.filter((x) => x != null); return v.length ? `mean ${(v.reduce((a, b) => a + b, 0) / v.length).toFixed(2)}` : "none"; };
function addNames(holder, series) {
  const names = document.createElement("div");
  names.className = "names";
  const cells = series.map((s) => {
    const span = document.createElement("span"), dash = document.createElement("i"), value = document.createElement("b");
    dash.style.background = `var(${s.colour})`;
    span.append(dash, `${label(s.name)} `, value);
    names.append(span);
    return () => { const v = s.values[state.frame]; value.textContent = v == null ? "–" : shortNumber(v); };
  });
  holder.append(names);
  cursors.push(() => cells.forEach((f) => f()));
}
function addCursor(chart, bottom) {
  const line = svg("line", { y1: PLOT.top, y2: bottom, class: "cursor" }, chart);
  cursors.push(() => { line.setAttribute("x1", px(state.frame)); line.setAttribute("x2", px(state.frame)); });
}
function barChart(title, rows) {
  const entries = Object.entries(rows);
  if (!entries.length) return;
  const height = entries.length * 29 + 6 + PLOT.bottom, total = Math.max(take.frame_count - 1, 1);
  const { chart } = panel(title, `${title}: ${entries.map(([name, runs]) => `${label(name)} ${runs.length} times`).join("; ")}`, height);
  const x = (frame) => PLOT.left + Math.min(frame, total) / total * (PLOT.w - PLOT.left - PLOT.right);
  entries.forEach(([name, runs], row) => {
    const y = row * 29;
    svg("line", { x1: PLOT.left, x2: PLOT.w - PLOT.right, y1: y + 26, y2: y + 26, class: "axis" }, chart);
    for (const [a, b] of runs) svg("rect", { x: x(a), y: y + 16, width: Math.max(1.5, x(b) - x(a) - 1), height: 10, rx: 2, style: `fill: var(--c${/left/i.test(name) ? 2 : /right/i.test(name) ? 1 : 5})` }, chart);
    svg("text", { x: PLOT.left, y: y + 12 }, chart).textContent = label(name);
  });
  timeAxis(chart, height - PLOT.bottom);
  addCursor(chart, height - PLOT.bottom);
}
function buildPlots() {
  $$("plots").replaceChildren();
  cursors.length = 0;
  const person = take.people[state.person];
  if (!person) { $$("plots").textContent = "Nobody was reconstructed, so there is nothing to plot."; return; }
  const s = person.series, sided = (name, i) => /left/i.test(name) ? "--c2" : /right/i.test(name) ? "--c1" : `--c${3 + i % 6}`;
  lineChart("Distance of detections from the joints", "px", s.residual_px.map((values, c) => ({ name: take.cameras[c].name, values, colour: `--c${c % 8 + 1}` })));
  lineChart("Knee flexion", "degrees", Object.entries(s.knee_deg).map(([name, values], i) => ({ name, values, colour: sided(name, i) })));
  const pick = (part) => Object.entries(s.height_m).filter(([name]) => part.test(name)).map(([name, values], i) => ({ name, values, colour: sided(name, i) }));
  lineChart("Height of the ankles", "m", pick(/ankle|foot/i), false);
  lineChart("Height of the wrists", "m", pick(/wrist|hand/i), false);
  lineChart("Speed of the body", "m/s", [{ name: "root", values: s.speed_m_s, colour: "--c5" }]);
  lineChart("Cameras that agreed, mean over the joints", "views", [{ name: "views", values: s.views, colour: "--c8" }]);
  barChart("Feet on the ground", person.contacts);
  barChart("Filled spans", person.filled_runs);
}
let plotted = -1;
onChange(() => {
  if (plotted !== state.person) { plotted = state.person; buildPlots(); }
  cursors.forEach((f) => f());
});
