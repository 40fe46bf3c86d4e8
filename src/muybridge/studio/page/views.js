// Each camera's picture with detections, reprojections and the solved skeleton drawn over it.
const figures = [], loaded = new Map();
function pictureIndex(i) { // the newest picture not after the frame
  const frames = take.pictures.frames, frame = take.frames[i] ?? 0;
  let low = 0, high = frames.length - 1;
  while (low < high) { const mid = (low + high + 1) >> 1; if (frames[mid] <= frame) low = mid; else high = mid - 1; }
  return frames.length ? low : -1;
}
function shownIndex(frame) { // the shown frame nearest to a frame of the take
  const step = take.frames.length > 1 ? take.frames[1] - take.frames[0] : 1;
  return Math.max(0, Math.min(frameCount - 1, Math.round((frame - (take.frames[0] ?? 0)) / step)));
}
function picture(c, k) {
  const text = k >= 0 ? take.pictures.jpegs[c]?.[k] : "";
  if (!text) return null;
  const key = `${c}/${k}`;
  if (!loaded.has(key)) {
    const image = new Image();
    image.onload = () => change({});
    image.src = `data:image/jpeg;base64,${text}`;
    loaded.set(key, image);
    if (loaded.size > 600) loaded.delete(loaded.keys().next().value);
  }
  return loaded.get(key);
}
function buildViews() {
  take.cameras.forEach((camera, c) => {
    const figure = document.createElement("figure"), screen2d = document.createElement("canvas"), caption = document.createElement("figcaption");
    figure.style.flexGrow = camera.width / camera.height;
    figure.style.setProperty("--aspect", camera.width / camera.height);
    figure.style.maxWidth = `${Math.round(460 * camera.width / camera.height)}px`;
    screen2d.style.aspectRatio = `${camera.width} / ${camera.height}`;
    screen2d.setAttribute("role", "img");
    screen2d.setAttribute("aria-label", `Picture of ${camera.name} with detected and projected joints`);
    screen2d.tabIndex = 0;
    const enlarge = () => { figure.classList.toggle("large"); change({}); };
    screen2d.addEventListener("click", enlarge);
    screen2d.addEventListener("keydown", (e) => { if (e.key === "Enter") enlarge(); });
    const name = document.createElement("b"), note = document.createElement("span");
    name.textContent = camera.name;
    caption.append(name, note);
    figure.append(screen2d, caption);
    $$("views").append(figure);
    figures.push({ canvas: screen2d, note, figure });
    new ResizeObserver(() => change({})).observe(screen2d);
  });
}
const shows = (id) => $$(id).checked;
function drawViews() {
  const k = pictureIndex(state.frame), i = k >= 0 ? shownIndex(take.pictures.frames[k]) : state.frame;
  figures.forEach((f, c) => drawView(f, c, k, i));
}
function drawView({ canvas: target, note, figure }, c, k, i) {
  const camera = take.cameras[c], ratio = Math.min(devicePixelRatio || 1, 2);
  const w = Math.max(1, Math.round(target.clientWidth * ratio)), h = Math.max(1, Math.round(w * camera.height / camera.width));
  if (target.width !== w || target.height !== h) { target.width = w; target.height = h; }
  const ctx = target.getContext("2d"), scale = w / camera.width, size = Math.max(2.2 * ratio, w * (figure.classList.contains("large") ? 0.004 : 0.009));
  ctx.fillStyle = "#14120f"; ctx.fillRect(0, 0, w, h);
  const image = shows("show-picture") ? picture(c, k) : null;
  if (image?.complete && image.naturalWidth) ctx.drawImage(image, 0, 0, w, h);
  ctx.lineCap = "round";
  for (const person of take.people) {
    if (shows("show-solved")) drawSolved(ctx, person, camera, i, scale, size);
    drawPerson(ctx, person, camera, c, i, scale, size);
  }
  const values = take.people.map((p) => p.series.residual_px[c]?.[i]).filter((v) => v != null);
  note.textContent = values.length ? `${(values.reduce((a, b) => a + b, 0) / values.length).toFixed(1)} px` : "nobody seen";
}
function drawPerson(ctx, person, camera, c, i, scale, size) {
  const detected = [], projected = [];
  for (let j = 0; j < person.markers.length; j++) {
    const p = markerAt(person, i, j);
    const d = detectionAt(person, c, i, j), q = p && project(camera, p);
    detected.push(d && d.map((v) => v * scale)); projected.push(q && q.map((v) => v * scale));
  }
  const layers = [["show-projected", projected, style("--projected")], ["show-detected", detected, style("--detected")]];
  for (const [id, points, colour] of layers) if (shows(id)) bones(ctx, points, person.pairs, colour, size);
  if (!shows("show-detected") || !shows("show-projected")) return;
  ctx.strokeStyle = "#ff4d3d"; ctx.lineWidth = size * 0.5; // what separates the two
  ctx.beginPath();
  detected.forEach((d, j) => { const q = projected[j]; if (d && q) { ctx.moveTo(...d); ctx.lineTo(...q); } });
  ctx.stroke();
}
function bones(ctx, points, pairs, colour, size) {
  for (const [width, ink, alpha] of [[size * 0.9, "#000", 0.4], [size * 0.42, colour, 0.9]]) {
    ctx.lineWidth = width; ctx.strokeStyle = ink; ctx.globalAlpha = alpha; ctx.beginPath();
    for (const [a, b] of pairs) if (points[a] && points[b]) { ctx.moveTo(...points[a]); ctx.lineTo(...points[b]); }
    ctx.stroke();
  }
  ctx.globalAlpha = 1; ctx.fillStyle = colour;
  ctx.beginPath();
  for (const p of points) if (p) { ctx.moveTo(p[0] + size * 0.75, p[1]); ctx.arc(p[0], p[1], size * 0.75, 0, 7); }
  ctx.fill();
}
function drawSolved(ctx, person, camera, i, scale, size) {
  ctx.strokeStyle = style("--solved"); ctx.lineWidth = size * 0.8; ctx.beginPath();
  for (const [a, b] of person.capsules) {
    const p = jointAt(person, i, a), q = jointAt(person, i, b), u = p && project(camera, p), v = q && project(camera, q);
    if (u && v) { ctx.moveTo(u[0] * scale, u[1] * scale); ctx.lineTo(v[0] * scale, v[1] * scale); }
  }
  ctx.stroke();
}
buildViews();
{
  const some = take.pictures.frames.length, none = !take.pictures.jpegs.some((js) => js.some(Boolean));
  $$("picture-note").textContent = none ? "no videos were given: keypoints only" : some < take.frame_count ? `${some} of ${take.frame_count} frames have a picture here` : "select a picture to enlarge it";
}
onChange(drawViews);
for (const id of ["show-picture", "show-detected", "show-projected", "show-solved"]) $$(id).addEventListener("change", () => change({}));
