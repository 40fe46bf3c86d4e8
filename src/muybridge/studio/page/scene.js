// The 3-D stage: shaded capsules, their shadow, a floor, camera frusta. WebGL 2; plain 2-D strokes without it.
const canvas = $$("scene"), gl = canvas.getContext("webgl2", { antialias: true, alpha: true, stencil: true, preserveDrawingBuffer: true });
const flat = gl ? null : canvas.getContext("2d");
const view = { yaw: 0.6, pitch: 0.22, distance: 4, target: [0, 1, 0], through: -1 };
const sub = (a, b) => a.map((v, i) => v - b[i]), dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => { const l = Math.hypot(...a) || 1; return a.map((v) => v / l); };
const mul = (a, b) => { // column-major 4 x 4
  const o = new Float32Array(16);
  for (let c = 0; c < 4; c++) for (let r = 0; r < 4; r++) for (let k = 0; k < 4; k++) o[4 * c + r] += a[4 * k + r] * b[4 * c + k];
  return o;
};

const CAPSULE_VS = `#version 300 es
layout(location=0) in vec4 shape; layout(location=1) in vec4 a; layout(location=2) in vec4 b;
layout(location=3) in vec4 ca; layout(location=4) in vec4 cb;
uniform mat4 eye; uniform vec4 shadow; uniform float flatten; out vec3 n; out vec4 c; out vec3 w;
void main() {
  vec3 axis = b.xyz - a.xyz; float l = length(axis);
  vec3 z = l > 1e-5 ? axis / l : vec3(0, 1, 0);
  vec3 x = normalize(abs(z.y) < .9 ? cross(z, vec3(0, 1, 0)) : cross(z, vec3(1, 0, 0)));
  n = mat3(x, cross(z, x), z) * shape.xyz;
  w = mix(a.xyz, b.xyz, shape.w) + n * mix(a.w, b.w, shape.w);
  c = mix(ca, cb, shape.w);
  if (flatten > .5) w = vec3(w.xz + shadow.xz * (w.y - shadow.w), shadow.w + .002).xzy;
  gl_Position = eye * vec4(w, 1.);
}`;
const CAPSULE_FS = `#version 300 es
precision highp float; in vec3 n; in vec4 c; in vec3 w; out vec4 o;
uniform vec3 from; uniform vec4 shadow; uniform float flatten; uniform vec4 shade; uniform vec3 sky; uniform vec3 ground;
void main() {
  if (flatten > .5) { o = vec4(shade.rgb * shade.a, shade.a); return; }
  vec3 m = normalize(n), v = normalize(from - w), k = normalize(vec3(-shadow.x, 1., -shadow.z));
  float key = max(dot(m, k), 0.), rim = pow(1. - max(dot(m, v), 0.), 3.);
  vec3 light = mix(ground, sky, m.y * .5 + .5) + vec3(.52, .49, .44) * key;
  float gloss = pow(max(dot(m, normalize(k + v)), 0.), 40.) * .16;
  o = vec4((c.rgb * light + gloss + rim * .10) * c.a, c.a);
}`;
const FLOOR_VS = `#version 300 es
layout(location=0) in vec2 p; uniform mat4 eye; uniform vec4 place; out vec2 q;
void main() { q = p * place.w + place.xz; gl_Position = eye * vec4(q.x, place.y, q.y, 1.); }`;
const FLOOR_FS = `#version 300 es
precision highp float; in vec2 q; out vec4 o; uniform vec4 place; uniform vec3 ink;
float lines(vec2 p, float width) { vec2 f = fwidth(p) * width, d = abs(fract(p - .5) - .5) / max(f, vec2(1e-6)); return clamp(1. - min(d.x, d.y), 0., 1.) * clamp(.5 / max(f.x, f.y) - .5, 0., 1.); }
void main() {
  float fade = 1. - smoothstep(.35, 1., length(q - place.xz) / place.w);
  float a = max(lines(q * 2., 1.) * .16, lines(q, 1.2) * .34) * fade;
  o = vec4(ink * a, a);
}`;
const LINE_VS = `#version 300 es
layout(location=0) in vec3 p; layout(location=1) in vec4 c; uniform mat4 eye; out vec4 k;
void main() { k = c; gl_Position = eye * vec4(p, 1.); }`;
const LINE_FS = `#version 300 es
precision highp float; in vec4 k; out vec4 o; void main() { o = vec4(k.rgb * k.a, k.a); }`;

function program(vertex, fragment) {
  const p = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const s = gl.createShader(kind);
    gl.shaderSource(s, text); gl.compileShader(s);
    if (!gl.getShaderParameter(s, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(s));
    gl.attachShader(p, s);
  }
  gl.linkProgram(p);
  const places = {};
  return { use: () => gl.useProgram(p), at: (name) => places[name] ??= gl.getUniformLocation(p, name) };
}

function capsuleMesh(turns = 20, rings = 7) { // two half spheres and the mantle between them
  const v = [], f = [];
  for (let r = 0; r <= 2 * rings + 1; r++) {
    const end = r > rings ? 1 : 0, step = end ? r - rings - 1 : r - rings;
    const angle = (step / rings) * Math.PI / 2;
    for (let t = 0; t <= turns; t++) {
      const u = (t / turns) * 2 * Math.PI;
      v.push(Math.cos(u) * Math.cos(angle), Math.sin(u) * Math.cos(angle), Math.sin(angle), end);
    }
  }
  const row = turns + 1;
  for (let r = 0; r < 2 * rings + 1; r++) for (let t = 0; t < turns; t++) {
    const i = r * row + t;
    f.push(i, i + 1, i + row, i + 1, i + row + 1, i + row);
  }
  return [new Float32Array(v), new Uint16Array(f)];
}

const pointInstances = (first) => { for (let i = 0; i < 4; i++) gl.vertexAttribPointer(1 + i, 4, gl.FLOAT, false, 64, 64 * first + 16 * i); };
let parts = null;
function setUp() {
  const [vertices, faces] = capsuleMesh();
  const buffer = (data, target = gl.ARRAY_BUFFER) => { const b = gl.createBuffer(); gl.bindBuffer(target, b); if (data) gl.bufferData(target, data, gl.STATIC_DRAW); return b; };
  const capsules = gl.createVertexArray();
  gl.bindVertexArray(capsules);
  buffer(vertices);
  gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 4, gl.FLOAT, false, 0, 0);
  buffer(faces, gl.ELEMENT_ARRAY_BUFFER);
  const instances = buffer(null);
  for (let i = 0; i < 4; i++) { gl.enableVertexAttribArray(1 + i); gl.vertexAttribDivisor(1 + i, 1); }
  pointInstances(0);
  const floor = gl.createVertexArray();
  gl.bindVertexArray(floor);
  buffer(new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]));
  gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  const lines = gl.createVertexArray();
  gl.bindVertexArray(lines);
  const lineData = buffer(null);
  gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 28, 0);
  gl.enableVertexAttribArray(1); gl.vertexAttribPointer(1, 4, gl.FLOAT, false, 28, 12);
  gl.bindVertexArray(null);
  parts = { capsules, instances, count: faces.length, floor, lines, lineData,
    body: program(CAPSULE_VS, CAPSULE_FS), ground: program(FLOOR_VS, FLOOR_FS), line: program(LINE_VS, LINE_FS) };
}

// -- the eye ---------------------------------------------------------------------------------
function eyeMatrices(aspect) {
  if (view.through >= 0) return throughCamera(take.cameras[view.through], aspect);
  const { yaw, pitch, distance, target } = view;
  const back = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
  const from = target.map((v, i) => v + back[i] * distance);
  const right = unit(cross([0, 1, 0], back)), up = cross(back, right);
  const look = [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, -dot(right, from), -dot(up, from), -dot(back, from), 1];
  const f = Math.min(1, aspect * 0.9) / Math.tan(0.35);
  return { from, eye: mul(lens(f / aspect, f, 0, 0), look) };
}
const NEAR = 0.05, FAR = 120;
const lens = (fx, fy, cx, cy) => [fx, 0, 0, 0, 0, fy, 0, 0, cx, cy, (FAR + NEAR) / (NEAR - FAR), -1, 0, 0, 2 * FAR * NEAR / (NEAR - FAR), 0];
function throughCamera(c, aspect) {
  const r = c.rotation, t = c.translation, m = c.matrix;
  const look = [r[0], -r[3], -r[6], 0, r[1], -r[4], -r[7], 0, r[2], -r[5], -r[8], 0, t[0], -t[1], -t[2], 1];
  const fit = Math.min(1, aspect / (c.width / c.height)); // show the whole picture
  const sy = 2 / c.height * fit, sx = sy / aspect;
  return { from: centre(c), eye: mul(lens(m[0] * sx, m[4] * sy, (c.width / 2 - m[2]) * sx, (m[5] - c.height / 2) * sy), look) };
}
const centre = (c) => [0, 1, 2].map((i) => -(c.rotation[i] * c.translation[0] + c.rotation[3 + i] * c.translation[1] + c.rotation[6 + i] * c.translation[2]));
function corners(c, depth) {
  const o = centre(c), m = c.matrix;
  return [[0, 0], [c.width, 0], [c.width, c.height], [0, c.height], [c.width / 2, -0.14 * c.height]].map(([u, v]) => {
    const d = [(u - m[2]) / m[0] * depth, (v - m[5]) / m[4] * depth, depth];
    return [0, 1, 2].map((i) => o[i] + c.rotation[i] * d[0] + c.rotation[3 + i] * d[1] + c.rotation[6 + i] * d[2]);
  });
}

// -- what is drawn ----------------------------------------------------------------------------
const SIDES = { left: "--c2", right: "--c1", middle: "--body" };
function jointColour(person, i, k, side, colours) {
  const field = person.fields[state.colour];
  if (state.colour === "side" || !field || i >= person.count) return colours[side];
  const value = field[i * person.joints.length + k];
  if (value === take.unknown) return colours.unknown;
  const [low, high] = SCALES[state.colour], x = (value - low) / (high - low);
  return ramp(state.colour === "views" ? 1 - x : x);
}
function sideColours(index) {
  const dark = rgb(style("--paper"))[0] < 0.5;
  const middle = take.people.length > 1 ? rgb(style(`--c${index % 8 + 1}`)).map((v) => v + (1 - v) * 0.22) : dark ? [0.80, 0.75, 0.67] : [0.86, 0.81, 0.72];
  const tint = (c, by) => take.people.length > 1 ? middle.map((v) => v * by) : c;
  return { left: tint(rgb(style("--c2")), 1.12), right: tint(rgb(style("--c1")), 0.8), middle, unknown: [0.5, 0.5, 0.5] };
}
function bodyAt(person, i, index, alpha, out) {
  const colours = sideColours(index), faint = rgb(style("--stage"));
  for (const [a, b, ra, rb, side, near, far] of person.capsules) {
    const start = jointAt(person, i, a), stop = jointAt(person, i, b);
    if (!start || !stop) continue;
    const [p, q] = [near, far].map((s) => start.map((v, k) => v + s * (stop[k] - v)));
    let ca = jointColour(person, i, a, side, colours), cb = jointColour(person, i, b, side, colours);
    if (alpha < 1) { ca = ca.map((v, k) => faint[k] + (v - faint[k]) * alpha); cb = cb.map((v, k) => faint[k] + (v - faint[k]) * alpha); }
    out.push(...p, ra, ...q, rb, ...ca, 1, ...cb, 1);
  }
}
function bodies() { // ghosts first: only what comes after them throws a shadow
  const out = [], ghosts = [];
  take.people.forEach((person, index) => {
    if (state.ghosts) for (let g = 0; g < 9; g++) {
      const i = Math.round(g * (person.count - 1) / 8);
      if (Math.abs(i - state.frame) > 1) bodyAt(person, i, index, 0.42, ghosts);
    }
    bodyAt(person, state.frame, index, 1, out);
    if (state.markers) for (let k = 0; k < person.markers.length; k++) {
      const p = markerAt(person, state.frame, k);
      if (p) out.push(...p, 0.022, ...p, 0.022, ...rgb(style("--accent")), 1, ...rgb(style("--accent")), 1);
    }
  });
  return { body: new Float32Array([...ghosts, ...out]), ghosts: ghosts.length / 16 };
}
const frustumDepth = () => Math.max(0.25, Math.min(0.6, 0.1 * reach()));
function frusta() {
  const out = [], ink = rgb(style("--soft"));
  if (!state.cameras) return new Float32Array(out);
  take.cameras.forEach((c, index) => {
    if (index === view.through) return;
    const o = centre(c), p = corners(c, frustumDepth());
    const pairs = [[o, p[0]], [o, p[1]], [o, p[2]], [o, p[3]], [p[0], p[1]], [p[1], p[2]], [p[2], p[3]], [p[3], p[0]], [p[0], p[4]], [p[4], p[1]]];
    for (const [a, b] of pairs) out.push(...a, ...ink, 0.9, ...b, ...ink, 0.9);
    out.push(...o, ...ink, 0.25, o[0], take.floor_m, o[2], ...ink, 0.25); // the plumb line
  });
  return new Float32Array(out);
}
function reach() {
  const all = take.cameras.map(centre);
  return all.length ? Math.max(...all.map((c) => Math.hypot(c[0] - take.origin_m[0], c[2] - take.origin_m[2]))) : 4;
}

function drawScene() {
  const ratio = Math.min(devicePixelRatio || 1, 2), w = Math.max(1, Math.round(canvas.clientWidth * ratio)), h = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  follow();
  const { from, eye } = eyeMatrices(w / h), { body, ghosts } = bodies();
  if (gl) drawGl(from, eye, body, ghosts, w, h); else drawFlat(eye, body, w, h);
  placeLabels(eye);
}
function follow() {
  const person = take.people[state.person];
  const root = person && state.follow ? jointAt(person, state.frame, 0) : null;
  if (root) view.target = [root[0], take.floor_m + 0.92, root[2]];
}
function drawGl(from, eye, body, ghosts, w, h) {
  const dark = rgb(style("--paper"))[0] < 0.5;
  gl.viewport(0, 0, w, h);
  gl.clearColor(0, 0, 0, 0); gl.clearStencil(0);
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT | gl.STENCIL_BUFFER_BIT);
  gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  gl.disable(gl.DEPTH_TEST);
  parts.ground.use(); gl.bindVertexArray(parts.floor);
  gl.uniformMatrix4fv(parts.ground.at("eye"), false, eye);
  gl.uniform4f(parts.ground.at("place"), take.origin_m[0], take.floor_m, take.origin_m[2], Math.max(4, reach() * 1.5));
  gl.uniform3fv(parts.ground.at("ink"), rgb(style("--soft")));
  gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);

  parts.body.use(); gl.bindVertexArray(parts.capsules);
  gl.bindBuffer(gl.ARRAY_BUFFER, parts.instances); gl.bufferData(gl.ARRAY_BUFFER, body, gl.DYNAMIC_DRAW);
  gl.uniformMatrix4fv(parts.body.at("eye"), false, eye);
  gl.uniform3fv(parts.body.at("from"), from);
  const lamp = Math.atan2(from[0] - view.target[0], from[2] - view.target[2]) + 0.75; // over the shoulder of the eye
  gl.uniform4f(parts.body.at("shadow"), -0.7 * Math.sin(lamp), 0, -0.7 * Math.cos(lamp), take.floor_m);
  gl.uniform4f(parts.body.at("shade"), 0, 0, 0, dark ? 0.42 : 0.17);
  gl.uniform3fv(parts.body.at("sky"), dark ? [0.46, 0.48, 0.52] : [0.58, 0.59, 0.62]);
  gl.uniform3fv(parts.body.at("ground"), dark ? [0.20, 0.18, 0.16] : [0.40, 0.37, 0.33]);
  const count = body.length / 16;
  pointInstances(ghosts);
  gl.enable(gl.STENCIL_TEST); gl.stencilFunc(gl.EQUAL, 0, 255); gl.stencilOp(gl.KEEP, gl.KEEP, gl.INCR);
  gl.uniform1f(parts.body.at("flatten"), 1);
  gl.drawElementsInstanced(gl.TRIANGLES, parts.count, gl.UNSIGNED_SHORT, 0, count - ghosts);
  pointInstances(0);
  gl.disable(gl.STENCIL_TEST); gl.enable(gl.DEPTH_TEST);
  gl.uniform1f(parts.body.at("flatten"), 0);
  gl.drawElementsInstanced(gl.TRIANGLES, parts.count, gl.UNSIGNED_SHORT, 0, count);

  const lines = frusta();
  parts.line.use(); gl.bindVertexArray(parts.lines);
  gl.bindBuffer(gl.ARRAY_BUFFER, parts.lineData); gl.bufferData(gl.ARRAY_BUFFER, lines, gl.DYNAMIC_DRAW);
  gl.uniformMatrix4fv(parts.line.at("eye"), false, eye);
  gl.drawArrays(gl.LINES, 0, lines.length / 7);
  gl.bindVertexArray(null);
}
function screen(eye, p, w, h) {
  const q = [0, 1, 3].map((r) => eye[r] * p[0] + eye[4 + r] * p[1] + eye[8 + r] * p[2] + eye[12 + r]);
  return q[2] <= NEAR ? null : [(q[0] / q[2] * 0.5 + 0.5) * w, (0.5 - q[1] / q[2] * 0.5) * h, q[2]];
}
function drawFlat(eye, body, w, h) { // no WebGL: round strokes, the far ones first
  flat.clearRect(0, 0, w, h); flat.lineCap = "round";
  const strokes = [];
  for (let o = 0; o < body.length; o += 16) {
    const a = screen(eye, body.subarray(o, o + 3), w, h), b = screen(eye, body.subarray(o + 4, o + 7), w, h);
    if (a && b) strokes.push([a, b, (body[o + 3] + body[o + 7]) * h * 1.35 / (a[2] + b[2]) * 2, css([...body.subarray(o + 8, o + 11)])]);
  }
  const lines = frusta();
  for (let o = 0; o < lines.length; o += 14) {
    const a = screen(eye, lines.subarray(o, o + 3), w, h), b = screen(eye, lines.subarray(o + 7, o + 10), w, h);
    if (a && b) strokes.push([a, b, 1.5, style("--soft")]);
  }
  for (const [a, b, width, colour] of strokes.sort((p, q) => q[0][2] + q[1][2] - p[0][2] - p[1][2])) {
    flat.strokeStyle = colour; flat.lineWidth = width;
    flat.beginPath(); flat.moveTo(a[0], a[1]); flat.lineTo(b[0] + 0.01, b[1]); flat.stroke();
  }
}
function placeLabels(eye) {
  const holder = $$("labels"), w = canvas.clientWidth, h = canvas.clientHeight;
  while (holder.children.length < take.cameras.length) holder.append(document.createElement("span"));
  take.cameras.forEach((c, i) => {
    const span = holder.children[i], p = screen(eye, corners(c, frustumDepth())[4], w, h);
    const hidden = !state.cameras || !p || i === view.through || p[0] < 0 || p[0] > w - 40 || p[1] < 16 || p[1] > h;
    span.style.display = hidden ? "none" : "";
    if (!hidden) { span.textContent = c.name; span.style.transform = `translate(${p[0]}px, ${p[1]}px) translate(-50%, -110%)`; }
  });
}

// -- hands ------------------------------------------------------------------------------------
function home() {
  const person = take.people[state.person], o = take.origin_m;
  let far = 1.0;
  if (person) for (let i = 0; i < person.count; i += Math.max(1, Math.floor(person.count / 60))) {
    const p = jointAt(person, i, 0);
    if (p) far = Math.max(far, Math.hypot(p[0] - o[0], p[2] - o[2]) + 0.8);
  }
  const spot = [o[0], take.floor_m + 0.92, o[2]];
  Object.assign(view, { target: spot, distance: Math.max(3.4, Math.min(far * 2.4, 14)), pitch: 0.2, through: -1, yaw: openYaw(spot) });
}
function openYaw(spot) { // stand between the cameras, beside the path: no frustum hides the body
  const person = take.people[state.person], a = person && jointAt(person, 0, 0), b = person && jointAt(person, person.count - 1, 0);
  const path = a && b && Math.hypot(b[0] - a[0], b[2] - a[2]) > 0.5 ? Math.atan2(b[0] - a[0], b[2] - a[2]) : null;
  const angles = take.cameras.map(centre).map((c) => Math.atan2(c[0] - spot[0], c[2] - spot[2])).sort((a, b) => a - b);
  if (!angles.length) return 0.6;
  let best = 0.6, widest = 0;
  angles.forEach((a, i) => {
    const gap = (i + 1 < angles.length ? angles[i + 1] : angles[0] + 2 * Math.PI) - a;
    const middle = a + gap / 2, score = gap * (path === null ? 1 : 0.25 + Math.abs(Math.sin(middle - path)));
    if (score > widest + 1e-3) { widest = score; best = middle; }
  });
  return best;
}
const pointers = new Map();
canvas.addEventListener("pointerdown", (e) => { canvas.setPointerCapture(e.pointerId); pointers.set(e.pointerId, e); });
for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (e) => pointers.delete(e.pointerId));
canvas.addEventListener("pointermove", (e) => {
  const was = pointers.get(e.pointerId);
  if (!was) return;
  const dx = e.clientX - was.clientX, dy = e.clientY - was.clientY, other = [...pointers.values()].find((p) => p.pointerId !== e.pointerId);
  if (other) {
    const before = Math.hypot(was.clientX - other.clientX, was.clientY - other.clientY), now = Math.hypot(e.clientX - other.clientX, e.clientY - other.clientY);
    zoom(before / Math.max(now, 1));
  } else if (e.shiftKey || was.button === 2) pan(dx, dy);
  else turn(-dx * 0.008, dy * 0.006);
  pointers.set(e.pointerId, e);
});
canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom(Math.exp(e.deltaY * 0.001)); }, { passive: false });
canvas.addEventListener("contextmenu", (e) => e.preventDefault());
canvas.addEventListener("dblclick", () => { home(); change({}); });
function turn(yaw, pitch) { view.through = -1; view.yaw += yaw; view.pitch = Math.max(-0.1, Math.min(1.5, view.pitch + pitch)); change({}); }
function zoom(by) { view.through = -1; view.distance = Math.max(0.8, Math.min(40, view.distance * by)); change({}); }
function pan(dx, dy) {
  const s = view.distance * 0.0015;
  view.target = [view.target[0] - Math.cos(view.yaw) * dx * s, view.target[1] + dy * s, view.target[2] + Math.sin(view.yaw) * dx * s];
  change({});
}
if (gl) setUp();
home();
onChange(drawScene);
new ResizeObserver(() => change({})).observe(canvas);
