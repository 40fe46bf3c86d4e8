// The data of the page: decoded arrays, and the camera model (the same as geometry/camera.py).
const take = JSON.parse(document.getElementById("take").textContent);
const $$ = (id) => document.getElementById(id);
const frameCount = take.frames.length;
const seconds = (i) => take.frames[i] / take.fps;

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const shorts = (text) => new Int16Array(bytes(text).buffer);

for (const person of take.people) {
  person.points = shorts(person.points_mm);
  person.markerPoints = shorts(person.marker_points_mm);
  person.detected = shorts(person.detections);
  person.fields = {};
  for (const key of ["error_mm", "std_mm", "views", "filled"]) {
    person.fields[key] = person[key] ? bytes(person[key]) : null;
  }
}

// Position of joint k at shown frame i, metres; null where it is missing.
function at(points, perFrame, i, k) {
  const o = 3 * (i * perFrame + k);
  if (points[o] === take.missing) return null;
  return [0, 1, 2].map((a) => points[o + a] / 1000 + take.origin_m[a]);
}
const jointAt = (person, i, k) => i < person.count ? at(person.points, person.joints.length, i, k) : null;
const markerAt = (person, i, k) => i < person.count ? at(person.markerPoints, person.markers.length, i, k) : null;

function detectionAt(person, camera, i, k) {
  if (i >= person.count) return null;
  const o = 2 * ((camera * person.count + i) * person.markers.length + k);
  if (person.detected[o] === take.missing) return null;
  return [person.detected[o] / take.subpixel, person.detected[o + 1] / take.subpixel];
}

function project(camera, p) {
  const r = camera.rotation, t = camera.translation, m = camera.matrix, d = camera.distortion;
  const z = r[6] * p[0] + r[7] * p[1] + r[8] * p[2] + t[2];
  if (z <= 0.01) return null;
  const x = (r[0] * p[0] + r[1] * p[1] + r[2] * p[2] + t[0]) / z;
  const y = (r[3] * p[0] + r[4] * p[1] + r[5] * p[2] + t[1]) / z;
  const q = x * x + y * y, radial = 1 + q * (d[0] + q * (d[1] + q * d[4]));
  const u = x * radial + 2 * d[2] * x * y + d[3] * (q + 2 * x * x);
  const v = y * radial + d[2] * (q + 2 * y * y) + 2 * d[3] * x * y;
  return [m[0] * u + m[1] * v + m[2], m[4] * v + m[5]];
}

// What the page shows now; `change` redraws everything that listens.
const state = { frame: 0, playing: false, speed: 1, person: 0, colour: "side", ghosts: false,
  cameras: true, markers: false, follow: false };
const listeners = [];
const onChange = (f) => listeners.push(f);
let pending = false;
function change(update) {
  Object.assign(state, update);
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; listeners.forEach((f) => f(state)); });
}
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
const label = (name) => name.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

// A quiet sequential ramp that dark and light readers, and colour-blind ones, can order.
const RAMP = ["#2b6f8f", "#5aa18c", "#b9b45a", "#df8c3a", "#b8321f"].map(rgb);
function ramp(x) {
  const s = Math.min(Math.max(x, 0), 1) * (RAMP.length - 1), i = Math.min(Math.floor(s), RAMP.length - 2);
  return RAMP[i].map((v, a) => v + (RAMP[i + 1][a] - v) * (s - i));
}
const css = (c) => `rgb(${c.map((v) => Math.round(v * 255)).join(" ")})`;
const SCALES = { error_mm: [0, 60, "mm"], std_mm: [0, 30, "mm"], views: [0, Math.max(take.cameras.length, 1), "views"] };
