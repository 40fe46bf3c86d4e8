// Controls: time, colour, people, keyboard, colour scheme.
const slider = $$("frame");
slider.max = Math.max(frameCount - 1, 0);
slider.addEventListener("input", () => change({ frame: +slider.value, playing: false }));
$$("play").addEventListener("click", () => change({ playing: !state.playing }));
$$("speed").addEventListener("change", (e) => change({ speed: +e.target.value }));
$$("colour").addEventListener("change", (e) => change({ colour: e.target.value }));
for (const [id, key] of [["ghosts", "ghosts"], ["cameras-on", "cameras"], ["markers-on", "markers"], ["follow", "follow"]]) {
  $$(id).addEventListener("change", (e) => change({ [key]: e.target.checked }));
}
for (const cell of document.querySelectorAll(".strip .cell")) {
  cell.addEventListener("click", () => change({ frame: shownIndex(+cell.dataset.frame), playing: false }));
}

let last = 0, owed = 0; // real time that the playback has not shown yet, in shown frames
function tick(now) {
  if (state.playing && frameCount > 1) {
    const span = (seconds(frameCount - 1) - seconds(0)) / (frameCount - 1);
    owed += Math.min(now - last, 250) / 1000 * state.speed / span;
    const steps = Math.floor(owed);
    owed -= steps;
    if (steps) change({ frame: (state.frame + steps) % frameCount });
  }
  last = now;
  requestAnimationFrame(tick);
}
requestAnimationFrame(tick);

function buildPeople() {
  if (take.people.length < 2) return;
  take.people.forEach((person, index) => {
    const button = document.createElement("button"), swatch = document.createElement("span");
    button.type = "button";
    swatch.className = "swatch";
    swatch.style.background = `var(--c${index % 8 + 1})`;
    button.append(swatch, person.name);
    button.addEventListener("click", () => change({ person: index }));
    $$("people").append(button);
  });
}
function drawLegend() {
  const legend = $$("legend");
  legend.replaceChildren();
  const scale = SCALES[state.colour];
  if (!scale || !take.people.length) return;
  const bar = document.createElement("div"), ends = document.createElement("div");
  const views = state.colour === "views", stops = [0, 0.25, 0.5, 0.75, 1].map((x) => css(ramp(views ? 1 - x : x)));
  bar.className = "ramp"; ends.className = "ends";
  bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  for (const text of [String(scale[0]), `${scale[1]} ${scale[2]}${views ? "" : " and more"}`]) { const s = document.createElement("span"); s.textContent = text; ends.append(s); }
  legend.append(bar, ends);
}
function drawMarks() { // filled spans under the slider
  const marks = $$("marks"), person = take.people[state.person];
  marks.replaceChildren();
  marks.setAttribute("viewBox", "0 0 1000 8"); marks.setAttribute("preserveAspectRatio", "none");
  for (const runs of Object.values(person?.filled_runs ?? {})) for (const [a, b] of runs) {
    svg("rect", { x: a / take.frame_count * 1000, width: Math.max(2, (b - a) / take.frame_count * 1000), y: 1, height: 5, style: "fill: var(--accent); opacity: .55" }, marks);
  }
}
let marked = -1;
onChange(() => {
  slider.value = state.frame;
  const frame = take.frames[state.frame] ?? 0;
  slider.setAttribute("aria-valuetext", `frame ${frame}, ${(frame / take.fps).toFixed(2)} seconds`);
  $$("clock").textContent = `${(frame / take.fps).toFixed(2)} s · frame ${frame} of ${Math.max(take.frame_count - 1, 0)}`;
  $$("play").textContent = state.playing ? "❚❚" : "▶";
  $$("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  [...$$("people").children].forEach((b, i) => b.setAttribute("aria-pressed", String(i === state.person)));
  const cells = [...document.querySelectorAll(".strip .cell")];
  const nearest = cells.reduce((best, c) => Math.abs(c.dataset.frame - frame) < Math.abs(best.dataset.frame - frame) ? c : best, cells[0]);
  cells.forEach((c) => c.classList.toggle("now", c === nearest && take.people.length > 0));
  if (marked !== state.person) { marked = state.person; drawMarks(); }
  drawLegend();
});

const step = (by) => change({ frame: (state.frame + by + frameCount) % Math.max(frameCount, 1), playing: false });
addEventListener("keydown", (e) => {
  const tag = e.target.tagName, onScene = e.target === canvas;
  if (e.ctrlKey || e.metaKey || e.altKey || tag === "SELECT" || (tag === "INPUT" && e.target.type === "range" && e.key !== " ")) return;
  if (tag === "BUTTON" && e.key === " ") return;
  const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.08], ArrowDown: [0, -0.08] };
  if (onScene && turns[e.key]) turn(...turns[e.key]);
  else if (onScene && (e.key === "+" || e.key === "=")) zoom(0.9);
  else if (onScene && e.key === "-") zoom(1.1);
  else if (e.key === " " && tag !== "SUMMARY" && e.target.type !== "checkbox") change({ playing: !state.playing });
  else if (e.key === "ArrowRight") step(e.shiftKey ? 10 : 1);
  else if (e.key === "ArrowLeft") step(e.shiftKey ? -10 : -1);
  else if (e.key === "0") { home(); change({}); }
  else if (/^[1-9]$/.test(e.key) && take.cameras[e.key - 1]) { view.through = e.key - 1; change({}); }
  else return;
  e.preventDefault();
});

const THEMES = [["", "Auto", "automatic"], ["light", "Light", "light"], ["dark", "Dark", "dark"]];
let theme = 0;
$$("theme").addEventListener("click", () => {
  theme = (theme + 1) % THEMES.length;
  const [value, short, long] = THEMES[theme];
  if (value) document.documentElement.dataset.theme = value; else delete document.documentElement.dataset.theme;
  $$("theme").querySelector("span").textContent = short;
  $$("theme").setAttribute("aria-label", `Colour scheme: ${long}`);
  change({});
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => change({}));
buildPeople();
change({});
