// The canvas: its camera, the layers that are drawn, and what moves the camera by itself.
import { Camera, between } from "recon/camera.js";
import { Target } from "recon/gl.js";
import { Lines } from "recon/lines.js";
import { length, sub } from "recon/vectors.js";

export const NEAR = 0.01; // of splats, as recon's rasterizer has it
const FLIGHT = 600; // milliseconds

export class Viewer {
  constructor(canvas, scene) {
    this.canvas = canvas;
    this.scene = scene;
    this.gl = canvas.getContext("webgl2", { alpha: false, antialias: false, powerPreference: "high-performance" });
    if (!this.gl) throw new Error("this browser has no WebGL 2");
    this.camera = new Camera(scene.up);
    this.target = new Target(this.gl);
    this.lines = new Lines(this.gl); // over the layers: the crop box, the camera path
    this.layers = {};
    this.shown = {};
    this.crop = null; // {low, high}: corners of what is shown
    this.background = "auto";
    this.fixedSize = null;
    this.atView = -1;
    this.motion = null; // (milliseconds) => whether it goes on
    this.listeners = { drawn: [], view: [], layers: [] };
    this.drawing = false;
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  /** Call `use` after each picture ("drawn"), when a photo is arrived at or left ("view"), or a layer is ("layers"). */
  on(event, use) { this.listeners[event].push(use); }

  tell(event) { for (const use of this.listeners[event]) use(); }

  get size() { return [this.canvas.clientWidth, this.canvas.clientHeight]; }

  fitCanvas() {
    const { canvas } = this;
    const ratio = this.fixedSize ? 1 : Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = this.fixedSize ?? this.size.map((side) => Math.round(side * ratio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    return ratio;
  }

  backgroundColor() {
    if (this.background !== "auto") return this.background.split(" ").map(Number);
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
    return [r / 255, g / 255, b / 255];
  }

  /** What the shaders need to know of the camera. */
  takeShot() {
    const { camera, scene, crop } = this, { width, height } = this.canvas;
    const far = Math.max(length(sub(camera.centre, scene.centre)) + 20 * scene.size, 10 * camera.distance);
    const near = Math.min(camera.distance, scene.size) * 2e-3;
    return { rows: camera.rows, lens: camera.fitted(width, height), width, height, near, far, crop,
      centre: camera.centre };
  }

  drawNow() {
    const ratio = this.fitCanvas(), { canvas, layers, shown } = this;
    if (!canvas.width || !canvas.height) return;
    const shot = this.takeShot();
    this.target.begin(canvas.width, canvas.height, this.backgroundColor());
    for (const name of Object.keys(layers)) if (name !== "splats" && shown[name]) layers[name].draw(shot, ratio);
    if (!shown.photos) layers.photos?.drawHighlighted(shot);
    this.lines.draw(shot);
    if (shown.splats) { // last: they are blended with what is behind them
      layers.splats.draw(shot);
      layers.splats.sort(shot, NEAR);
    }
    this.target.end();
    this.tell("drawn");
  }

  redraw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame((now) => {
      this.drawing = false;
      if (this.motion && !this.motion(now)) this.motion = null;
      this.drawNow();
      if (this.motion) this.redraw();
    });
  }

  /** Draw once the splats are in order. */
  async drawSorted() {
    this.fitCanvas();
    if (this.shown.splats) await this.layers.splats.sort(this.takeShot(), NEAR);
    this.drawNow();
  }

  add(name, layer) {
    this.layers[name] = layer;
    layer.changed = () => this.redraw();
  }

  show(name, on) {
    this.shown[name] = on && Boolean(this.layers[name]);
    this.tell("layers");
    this.redraw();
  }

  // --- moving ---

  /** A person moves the camera: nothing else does any more. */
  move(change) {
    this.leave();
    change(this.camera);
    this.redraw();
  }

  /** Leave the photo, and stop what moves the camera. */
  leave() {
    this.motion = null;
    this.arrive(-1);
  }

  arrive(view) {
    if (view === this.atView) return;
    this.atView = view;
    this.tell("view");
  }

  /** Fly to where another camera stands; `view`: of the photo that was taken there. */
  flyToCamera(to, view = -1) {
    this.leave();
    const from = this.camera.copy();
    let start = matchMedia("(prefers-reduced-motion: reduce)").matches ? -Infinity : null;
    this.motion = (now) => {
      start ??= now;
      const t = Math.min((now - start) / FLIGHT, 1);
      Object.assign(this.camera, t < 1 ? between(from, to, t * t * (3 - 2 * t)) : to.copy());
      if (t === 1) this.arrive(view);
      return t < 1;
    };
    this.redraw();
  }

  flyTo(view) {
    const to = this.camera.copy();
    to.standAt(this.scene.views[view], this.scene.views[view].distance);
    this.flyToCamera(to, view);
  }

  /** Where the page begins. */
  home() {
    this.leave();
    const view = this.scene.start ?? this.scene.views[0];
    this.camera.standAt(view, view.distance);
    this.redraw();
  }
}
