// The camera: OpenCV axes (x right, y down, z forward), a lens, and how a person moves it.
import { add, sub, scale, dot, cross, length, normalise, turn } from "recon/vectors.js";

const STEEPEST = 0.995; // cosine between the view direction and up

export class Camera {
  /** `up`: unit vector of the world that stays up while a person turns the scene. */
  constructor(up) {
    this.up = up;
    this.centre = [0, 0, 0];
    this.axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]; // right, down, forward in the world
    this.distance = 1; // of what it turns about
    this.lens = { fx: 1, fy: 1, cx: 0.5, cy: 0.5, width: 1, height: 1 }; // in pixels of width × height
  }

  /** Stand where a view was taken, with its lens; turn about what is `distance` in front. */
  standAt(view, distance) {
    const m = view.world_to_camera;
    this.axes = [m.slice(0, 3), m.slice(4, 7), m.slice(8, 11)];
    this.centre = scale(add(add(scale(this.axes[0], m[3]), scale(this.axes[1], m[7])), scale(this.axes[2], m[11])), -1);
    const [fx, fy, cx, cy] = view.intrinsics;
    this.lens = { fx, fy, cx, cy, width: view.size[0], height: view.size[1] };
    this.distance = distance;
  }

  copy() {
    const other = new Camera(this.up);
    return Object.assign(other, { ...this, lens: { ...this.lens } });
  }

  get target() { return add(this.centre, scale(this.axes[2], this.distance)); }

  /** fx, fy, cx, cy in pixels of a canvas that shows the whole of the lens's image in its middle. */
  fitted(width, height) {
    const { fx, fy, cx, cy, width: w, height: h } = this.lens;
    const s = Math.min(width / w, height / h);
    return { fx: fx * s, fy: fy * s, cx: width / 2 + (cx - w / 2) * s, cy: height / 2 + (cy - h / 2) * s, s };
  }

  /** World-to-camera: three rows of four. */
  get rows() { return this.axes.map((axis) => [...axis, -dot(axis, this.centre)]); }

  /** x, y in pixels of the canvas and z-depth of a world point. */
  project(point, width, height) {
    const { fx, fy, cx, cy } = this.fitted(width, height);
    const [x, y, z] = this.axes.map((axis) => dot(axis, sub(point, this.centre)));
    return [fx * x / z + cx, fy * y / z + cy, z];
  }

  /** Direction in the world of what a pixel of the canvas shows, of length 1 along the view direction. */
  ray(x, y, width, height) {
    const { fx, fy, cx, cy } = this.fitted(width, height);
    const [right, down, forward] = this.axes;
    return add(forward, add(scale(right, (x - cx) / fx), scale(down, (y - cy) / fy)));
  }

  /** The horizon made level; a camera that looks straight up or down keeps its right. */
  level(forward) {
    const right = cross(forward, this.up);
    const unit = length(right) > 1e-3 ? normalise(right) : this.axes[0];
    this.axes = [unit, cross(forward, unit), forward];
  }

  orbit(yaw, pitch) {
    const target = this.target;
    let forward = turn(this.axes[2], this.up, yaw);
    this.level(forward);
    const tilted = normalise(turn(forward, this.axes[0], pitch));
    const steepness = Math.abs(dot(tilted, this.up));
    if (steepness < STEEPEST || steepness < Math.abs(dot(forward, this.up))) forward = tilted;
    this.level(forward);
    this.centre = sub(target, scale(forward, this.distance));
  }

  /** Move with the scene: by pixels of a canvas. */
  pan(dx, dy, width, height) {
    const { fx, fy } = this.fitted(width, height);
    const [right, down] = this.axes;
    const move = add(scale(right, -dx * this.distance / fx), scale(down, -dy * this.distance / fy));
    this.centre = add(this.centre, move);
  }

  /** Come nearer to what it turns about: `factor` below 1. */
  zoom(factor) {
    const target = this.target;
    this.distance *= factor;
    this.centre = sub(target, scale(this.axes[2], this.distance));
  }
}

/** Between two cameras, `t` from 0 to 1. */
export function between(from, to, t) {
  const mix = (a, b) => add(scale(a, 1 - t), scale(b, t));
  const camera = to.copy();
  const forward = normalise(mix(from.axes[2], to.axes[2]));
  const right = mix(from.axes[0], to.axes[0]);
  const unit = normalise(sub(right, scale(forward, dot(right, forward))));
  if (length(unit) > 0.5) camera.axes = [unit, cross(forward, unit), forward];
  camera.centre = mix(from.centre, to.centre);
  for (const name of Object.keys(camera.lens)) {
    camera.lens[name] = from.lens[name] * (1 - t) + to.lens[name] * t;
  }
  return camera;
}
