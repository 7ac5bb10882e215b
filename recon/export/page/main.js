// The page: its layers, its controls, and what programs may call.
import { watchControls } from "recon/controls.js";
import { CropPanel } from "recon/crop_panel.js";
import { showFacts } from "recon/facts.js";
import { Measure } from "recon/measure.js";
import { Mesh } from "recon/mesh.js";
import { byId, onInput, saveFile, say } from "recon/page.js";
import { PathPanel } from "recon/path_panel.js";
import { Photos } from "recon/photos.js";
import { COLORINGS, Points } from "recon/points.js";
import { SparsePoints } from "recon/sparse.js";
import { Splats } from "recon/splats.js";
import { Swipe } from "recon/swipe.js";
import { NEAR, Viewer } from "recon/viewer.js";

/** What can be shown, in the order of their boxes; the first of `FIRST` that there is is shown at first. */
const LAYERS = {
  points: { label: "Points", read: (gl, packed, scene) => Points.read(gl, packed, scene) },
  sparse: { label: "Sparse points", read: (gl, packed, scene) => SparsePoints.read(gl, packed, scene) },
  mesh: { label: "Mesh", read: (gl, packed, scene) => Mesh.read(gl, packed, scene) },
  splats: { label: "Splats", read: (gl, packed, scene) => Splats.read(gl, packed, scene) },
  photos: { label: "Photos", read: (gl, packed) => new Photos(gl, packed) },
};
const FIRST = ["splats", "points", "mesh", "sparse", "photos"];
const scene = JSON.parse(byId("scene").textContent);
let viewer, crop, path, measure;

function screenshot() {
  viewer.drawNow(); // what is on the canvas is gone once the browser has shown it
  viewer.canvas.toBlob((blob) => saveFile(blob, "recon.png"));
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}

function escape() {
  measure.clear();
  viewer.leave();
  say("");
  viewer.redraw();
}

const moves = {
  orbit: (dx, dy) => viewer.move((camera) => {
    const side = Math.min(...viewer.size) || 1;
    camera.orbit(-dx / side * 3, -dy / side * 3);
  }),
  pan: (dx, dy) => viewer.move((camera) => camera.pan(dx, dy, ...viewer.size)),
  zoom: (factor) => viewer.move((camera) => camera.zoom(factor)),
  click: (x, y) => measure.click(x, y),
  middle: () => measure.click(...viewer.size.map((side) => side / 2)),
  home: () => viewer.home(),
  addKey: () => path.add(),
  screenshot, fullScreen, escape,
};

// --- layers ---

function addBox(name) {
  const label = document.createElement("label"), box = document.createElement("input");
  Object.assign(box, { type: "checkbox", id: `show-${name}` });
  box.addEventListener("change", () => viewer.show(name, box.checked));
  label.append(box, ` ${LAYERS[name].label}`);
  byId("layers").append(label);
}

function showLayers() {
  const { layers, shown } = viewer;
  for (const name of Object.keys(LAYERS)) {
    const box = byId(`show-${name}`);
    box.checked = Boolean(shown[name]);
    box.closest("label").hidden = !layers[name];
  }
  byId("of-points").hidden = !shown.points && !shown.sparse;
  byId("of-point-colors").hidden = !shown.points;
  byId("of-confidence").hidden = !shown.points || !layers.points.ranks;
  byId("of-mesh").hidden = !shown.mesh;
  byId("of-photos").hidden = !layers.photos;
}

async function readLayer(name, packed) {
  const before = viewer.layers[name];
  viewer.add(name, await LAYERS[name].read(viewer.gl, packed, scene));
  before?.close?.();
  viewer.tell("layers");
}

// --- controls ---

function setUpPoints() {
  const colors = byId("point-colors");
  const without = { view: !viewer.layers.points?.views, confidence: !viewer.layers.points?.ranks };
  for (const option of [...colors.options]) if (without[option.value]) option.remove();
  onInput("point-colors", (value) => { viewer.layers.points.coloring = COLORINGS.indexOf(value); viewer.redraw(); });
  onInput("point-size", (value) => {
    if (viewer.layers.points) viewer.layers.points.pointSize = Number(value);
    if (viewer.layers.sparse) viewer.layers.sparse.pointSize = 1.6 * value;
    viewer.redraw();
  });
  onInput("confidence", (value) => {
    const { points } = viewer.layers, level = points.levels[Math.round(value * 2.55)];
    points.leastRank = value / 100;
    byId("confidence-said").textContent = value > 0 ? `${value} % (below ${level.toPrecision(3)})` : "";
    viewer.redraw();
  });
}

function setUpView() {
  onInput("mesh-colors", (value) => {
    viewer.layers.mesh.coloring = ["photo", "shaded", "depth"].indexOf(value);
    viewer.redraw();
  });
  onInput("background", (value) => { viewer.background = value; viewer.redraw(); });
  const resize = () => {
    viewer.layers.photos?.resize(scene.frustum * 20 ** ((byId("photo-size").value - 40) / 100));
    viewer.redraw();
  };
  resize();
  onInput("photo-size", resize);
  scene.views.forEach((view, i) => byId("photo").append(new Option(view.name, i)));
  onInput("photo", (value) => (value === "" ? escape() : viewer.flyTo(Number(value))));
  viewer.on("view", () => {
    const view = scene.views[viewer.atView];
    byId("photo").value = view ? viewer.atView : "";
    const sure = view?.certainty ? `, camera ${view.certainty}${view.weak ? ": not to be relied on" : ""}` : "";
    say(view ? `${view.name}: photo ${viewer.atView + 1} of ${scene.views.length}${sure}` : "");
  });
  for (const [id, use] of [["home", moves.home], ["screenshot", screenshot], ["full-screen", fullScreen]]) {
    byId(id).addEventListener("click", use);
  }
}

/** Draw one layer while the others are still being read. */
async function showFirst(name) {
  await readLayer(name, scene[name]);
  viewer.show(name, true);
  await viewer.drawSorted();
  performance.mark("first picture");
}

async function start() {
  const canvas = byId("canvas");
  document.title = byId("title").textContent = scene.title;
  showFacts(scene.facts, byId("facts"));
  if (matchMedia("(max-width: 600px)").matches) byId("panel").open = false;
  viewer = new Viewer(canvas, scene);
  canvas.addEventListener("webglcontextlost", () => say("The graphics were taken away: load the page again."));
  viewer.on("layers", showLayers);
  Object.keys(LAYERS).forEach(addBox);
  viewer.home();
  const first = FIRST.find((name) => scene[name]) ?? "photos";
  if (scene[first]) await showFirst(first);
  if (scene.views.length) await readLayer("photos", scene.views);
  for (const name of Object.keys(LAYERS)) if (scene[name] && name !== first) await readLayer(name, scene[name]);
  setUpPoints();
  setUpView();
  crop = new CropPanel(viewer);
  path = new PathPanel(viewer);
  measure = new Measure(viewer);
  new Swipe(viewer);
  watchControls(canvas, moves);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => viewer.redraw());
  if (!scene[first]) viewer.show(first, true);
  await viewer.drawSorted();
  const nothing = "There is nothing to show here: neither points, splats or a mesh nor photos with cameras.";
  say(Object.keys(viewer.layers).length ? scene.left_out.join(" ") : nothing);
}

/** What comes in pieces, once the first of them is shown. */
async function loadMore() {
  if (scene.splats?.more?.length) {
    const first = viewer.layers.splats, whole = await Splats.read(viewer.gl, scene.splats, scene, true);
    await whole.sort(viewer.takeShot(), NEAR);
    viewer.add("splats", whole);
    first.close();
    viewer.redraw();
  }
  const total = scene.points?.count.toLocaleString();
  await viewer.layers.points?.readMore((count) => say(`${count.toLocaleString()} of ${total} points …`));
  if (scene.points?.more?.length) say(scene.left_out.join(" "));
}

const fail = (error) => { say(`This cannot be shown: ${error.message}`); console.error(error); };
const ready = start();
const complete = ready.then(loadMore);
complete.catch(fail);

/** For programs: the same page, driven from outside. */
window.recon = {
  ready,
  /** When all pieces are there. */
  complete,
  scene,
  /** Layers by name, true or false. */
  show(which) { for (const [name, on] of Object.entries(which)) viewer.show(name, on); },
  /** Put a layer in the place of what the page has; its blocks are in the document. */
  async take(name, packed) { await readLayer(name, packed); },
  /** Pixels of the canvas, whatever the window; null for the window's own. */
  setSize(width, height) { viewer.fixedSize = width ? [width, height] : null; viewer.redraw(); },
  /** `"auto"` or [r, g, b] from 0 to 1. */
  setBackground(color) { viewer.background = Array.isArray(color) ? color.join(" ") : color; viewer.redraw(); },
  /** 3×4 world-to-camera in OpenCV axes and [fx, fy, cx, cy], both row by row, of an image of `size` pixels. */
  setCamera(worldToCamera, intrinsics, size) {
    viewer.move((camera) => camera.standAt({ world_to_camera: worldToCamera, intrinsics, size }, camera.distance));
  },
  get camera() { return { worldToCamera: viewer.camera.rows.flat(), target: viewer.camera.target }; },
  flyTo(view) { viewer.flyTo(view); },
  /** The least x, y and z and the largest, of what is shown; null for all. */
  setCropBox(box) { if (box) crop.turn(true), crop.set({ low: box.slice(0, 3), high: box.slice(3) }); else crop.turn(false); },
  /** Numbers of the views that see a point of the world. */
  seeing(point) { return measure.visibility.seeing(point); },
  /** Milliseconds that the last sorting of splats took: {sort, all}; all: with their colours from there. */
  get sortMilliseconds() { return viewer.layers.splats?.milliseconds; },
  /** Sort the splats as seen from here, shown or not; resolves to `sortMilliseconds`. */
  async sort() {
    await viewer.layers.splats.sort(viewer.takeShot(), NEAR);
    return viewer.layers.splats.milliseconds;
  },
  /** The picture that is drawn once the splats are in order, as a PNG in a data URL. */
  async picture() {
    await ready;
    await viewer.drawSorted();
    return viewer.canvas.toDataURL("image/png");
  },
};
