// The page: what it holds, what is drawn, and what a person does.
import { Camera, between } from "recon/camera.js";
import { watchControls } from "recon/controls.js";
import { Target } from "recon/gl.js";
import { Photos } from "recon/photos.js";
import { pick, Points } from "recon/points.js";
import { Splats } from "recon/splats.js";
import { add, length, scale, sub } from "recon/vectors.js";

const NEAR = 0.01; // of splats, as recon's rasterizer has it
const byId = (id) => document.getElementById(id);
const scene = JSON.parse(byId("scene").textContent);
const canvas = byId("canvas");
const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, powerPreference: "high-performance" });
const camera = new Camera(scene.up);
const shown = { points: false, photos: false, splats: false };
const layers = {};
let target, fixedSize = null, background = "auto", atView = -1, flight = null, picked = [], drawing = false;

const say = (text) => { byId("status").textContent = text; };

function fitCanvas() {
  const ratio = fixedSize ? 1 : Math.min(window.devicePixelRatio || 1, 2);
  const [width, height] = fixedSize ?? [canvas.clientWidth * ratio, canvas.clientHeight * ratio].map(Math.round);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return ratio;
}

function backgroundColor() {
  if (background !== "auto") return background.split(" ").map(Number);
  const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
  return [r / 255, g / 255, b / 255];
}

function takeShot() {
  const { width, height } = canvas;
  const far = Math.max(length(sub(camera.centre, scene.centre)) + 20 * scene.size, 10 * camera.distance);
  const near = Math.min(camera.distance, scene.size) * 2e-3;
  return { rows: camera.rows, lens: camera.fitted(width, height), width, height, near, far };
}

function drawNow() {
  const ratio = fitCanvas();
  if (!canvas.width || !canvas.height) return;
  const shot = takeShot();
  target.begin(canvas.width, canvas.height, backgroundColor());
  if (shown.photos) layers.photos?.draw(shot, camera.centre);
  if (shown.points) layers.points?.draw(shot, ratio);
  if (shown.splats && layers.splats) {
    layers.splats.draw(shot);
    layers.splats.sort(shot, camera.centre, NEAR);
  }
  target.end();
  placeMarks();
  placeSwipe();
}

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame((now) => {
    drawing = false;
    if (flight) fly(now);
    drawNow();
  });
}

// --- moving ---

function fly(now) {
  flight.start ??= now;
  const t = Math.min((now - flight.start) / 600, 1);
  Object.assign(camera, between(flight.from, flight.to, t * t * (3 - 2 * t)));
  if (t === 1) {
    Object.assign(camera, flight.to.copy());
    atView = flight.view;
    flight = null;
    showSwipe();
  } else redraw();
}

function flyTo(view) {
  const to = camera.copy();
  to.standAt(scene.views[view], scene.views[view].distance);
  leavePhoto();
  const quick = matchMedia("(prefers-reduced-motion: reduce)").matches;
  flight = { from: camera.copy(), to, view, start: quick ? -Infinity : null };
  byId("photo").value = view;
  say(`${scene.views[view].name}: photo ${view + 1} of ${scene.views.length}`);
  redraw();
}

function leavePhoto() {
  atView = -1;
  flight = null;
  byId("photo").value = "";
  showSwipe();
}

function home() {
  leavePhoto();
  const view = scene.views[scene.first] ?? scene.start;
  camera.standAt(view, view.distance);
  redraw();
}

const moves = {
  orbit(dx, dy) { leavePhoto(); const size = Math.min(canvas.clientWidth, canvas.clientHeight) || 1;
    camera.orbit(-dx / size * 3, -dy / size * 3); redraw(); },
  pan(dx, dy) { leavePhoto(); camera.pan(dx, dy, canvas.clientWidth, canvas.clientHeight); redraw(); },
  zoom(factor) { leavePhoto(); camera.zoom(factor); redraw(); },
  click, home, screenshot, fullScreen, leave() { picked = []; leavePhoto(); say(""); redraw(); },
};

// --- photos beside the render ---

function showSwipe() {
  const urls = atView >= 0 ? layers.photos?.urls[atView] : null;
  const source = urls?.[byId("swipe-what").value] ?? urls?.photo;
  byId("of-swipe").hidden = byId("swipe").hidden = !source;
  const image = byId("swipe").firstElementChild;
  if (source && image.src !== source) image.src = source;
  if (!source) image.removeAttribute("src");
}

function placeSwipe() {
  const swipe = byId("swipe");
  if (swipe.hidden) return;
  const { width: w, height: h } = camera.lens;
  const s = Math.min(canvas.clientWidth / w, canvas.clientHeight / h);
  Object.assign(swipe.style, {
    width: `${w * s}px`, height: `${h * s}px`,
    left: `${(canvas.clientWidth - w * s) / 2}px`, top: `${(canvas.clientHeight - h * s) / 2}px`,
    clipPath: `inset(0 ${100 - byId("swipe-at").value}% 0 0)`,
  });
}

// --- coordinates and distances ---

function click(x, y) {
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const cloud = shown.splats && !shown.points ? layers.splats : layers.points ?? layers.splats;
  const isShown = cloud === layers.points ? (i) => cloud.shown(i) : (i) => cloud.opacities[i] > 0.3;
  const positions = cloud && (cloud.positions ?? cloud.means);
  const index = cloud ? pick(positions, camera, x, y, width, height, 6, isShown) : -1;
  const point = index < 0 ? null : [0, 1, 2].map((k) => positions[3 * index + k]);
  const photo = shown.photos && atView < 0 ? layers.photos?.hit(camera.centre, camera.ray(x, y, width, height)) : null;
  if (photo && (!point || photo.depth < camera.project(point, width, height)[2])) return flyTo(photo.view);
  if (!point) return;
  if (picked.length === 2) picked = [];
  picked.push(point);
  const said = [point.map((value) => value.toPrecision(5)).join(", ")];
  if (cloud === layers.points) {
    if (cloud.views) said.push(`from ${scene.views[cloud.views[index]].name}`);
    if (cloud.ranks) said.push(`confidence ${cloud.levels[cloud.ranks[index]].toPrecision(3)}`);
  }
  if (picked.length === 2) said.push(`distance ${length(sub(...picked)).toPrecision(4)} ${scene.unit}`);
  say(said.join(" · "));
  redraw();
}

function placeMarks() {
  const [line, ...circles] = byId("marks").children;
  const places = picked.map((point) => camera.project(point, canvas.clientWidth, canvas.clientHeight));
  circles.forEach((circle, i) => {
    const place = places[i];
    circle.style.visibility = place && place[2] > 0 ? "visible" : "hidden";
    if (place) { circle.setAttribute("cx", place[0]); circle.setAttribute("cy", place[1]); }
  });
  const both = places.length === 2 && places.every((place) => place[2] > 0);
  line.style.visibility = both ? "visible" : "hidden";
  if (both) ["x1", "y1", "x2", "y2"].forEach((name, i) => line.setAttribute(name, places[i >> 1][i & 1]));
}

// --- what is kept ---

function screenshot() {
  drawNow(); // what is on the canvas is gone once the browser has shown it
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "recon.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}

// --- controls ---

function show(name, on) {
  shown[name] = on && Boolean(layers[name]);
  byId(`show-${name}`).checked = shown[name];
  byId("of-points").hidden = !shown.points;
  redraw();
}

function setUpControls() {
  for (const name of Object.keys(shown)) {
    const box = byId(`show-${name}`);
    box.disabled = !layers[name];
    box.closest("label").hidden = !layers[name];
    box.addEventListener("change", () => show(name, box.checked));
  }
  const on = (id, use) => byId(id).addEventListener("input", () => { use(byId(id).value); redraw(); });
  on("point-size", (value) => { layers.points.pointSize = Number(value); });
  on("point-colors", (value) => { layers.points.coloring = ["photo", "depth", "view"].indexOf(value); });
  byId("of-confidence").hidden = !layers.points?.ranks;
  on("confidence", (value) => {
    layers.points.leastRank = value / 100;
    const level = layers.points.levels[Math.round(value * 2.55)];
    byId("confidence-said").textContent = value > 0 ? `${value} % (below ${level.toPrecision(3)})` : "";
  });
  on("background", (value) => { background = value; });
  const resize = () => layers.photos.resize(scene.size * 0.01 * 20 ** (byId("photo-size").value / 100));
  if (layers.photos) resize();
  on("photo-size", resize);
  scene.views.forEach((view, i) => byId("photo").append(new Option(view.name, i)));
  on("photo", (value) => (value === "" ? leavePhoto() : flyTo(Number(value))));
  on("swipe-what", showSwipe);
  on("swipe-at", () => {});
  byId("home").addEventListener("click", home);
  byId("screenshot").addEventListener("click", screenshot);
  byId("full-screen").addEventListener("click", fullScreen);
  for (const [name, value] of scene.facts) {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    [dt.textContent, dd.textContent] = [name, value];
    byId("facts").append(dt, dd);
  }
  watchControls(canvas, moves);
  new ResizeObserver(redraw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  if (matchMedia("(max-width: 600px)").matches) byId("panel").open = false;
}

async function start() {
  if (!gl) throw new Error("this browser has no WebGL 2");
  document.title = scene.title;
  target = new Target(gl);
  if (scene.views.length) layers.photos = new Photos(gl, scene.views);
  home();
  if (scene.points) layers.points = await Points.read(gl, scene.points, scene);
  if (scene.splats) layers.splats = await Splats.read(gl, scene.splats);
  for (const layer of Object.values(layers)) layer.changed = redraw;
  setUpControls();
  show("splats", true);
  show("points", !layers.splats);
  show("photos", false);
  if (layers.splats) await layers.splats.sort(takeShot(), camera.centre, NEAR);
  say(scene.left_out.join(" "));
  drawNow();
}

/** What comes in pieces, once the first of them is shown. */
async function loadMore() {
  if (scene.splats?.more?.length) {
    const whole = await Splats.read(gl, scene.splats, true);
    await whole.sort(takeShot(), camera.centre, NEAR);
    layers.splats.close();
    layers.splats = whole;
    whole.changed = redraw;
    redraw();
  }
  await layers.points?.readMore((count) => say(`${count.toLocaleString()} of ${scene.points.count.toLocaleString()} points …`));
  if (scene.points?.more?.length) say(scene.left_out.join(" "));
}

const fail = (error) => { say(`This cannot be shown: ${error.message}`); console.error(error); };
const ready = start();
const complete = ready.then(loadMore);
ready.catch(fail);
complete.catch(fail);

/** For programs: the same page, driven from outside. */
window.recon = {
  ready,
  /** When all pieces are there. */
  complete,
  scene,
  /** Layers by name, true or false. */
  show(which) { for (const [name, on] of Object.entries(which)) show(name, on); },
  /** Pixels of the canvas, whatever the window; null for the window's own. */
  setSize(width, height) { fixedSize = width ? [width, height] : null; redraw(); },
  /** `"auto"` or [r, g, b] from 0 to 1. */
  setBackground(color) { background = Array.isArray(color) ? color.join(" ") : color; redraw(); },
  /** 3×4 world-to-camera in OpenCV axes and [fx, fy, cx, cy], both row by row, of an image of `size` pixels. */
  setCamera(worldToCamera, intrinsics, size) {
    leavePhoto();
    camera.standAt({ world_to_camera: worldToCamera, intrinsics, size }, camera.distance);
    redraw();
  },
  get camera() { return { worldToCamera: camera.rows.flat(), target: add(camera.centre, scale(camera.axes[2], camera.distance)) }; },
  flyTo,
  /** The picture that is drawn once the splats are in order, as a PNG in a data URL. */
  async picture() {
    await ready;
    fitCanvas();
    if (layers.splats) await layers.splats.sort(takeShot(), camera.centre, NEAR);
    drawNow();
    return canvas.toDataURL("image/png");
  },
};
