// A path through key views: a smooth curve (Catmull-Rom) of place, direction and lens, with a level horizon.
import { Camera } from "recon/camera.js";
import { add, cross, dot, length, normalise, scale, sub } from "recon/vectors.js";

const LENS = ["fx", "fy", "cx", "cy", "width", "height"];
const STEEPEST = 1.5; // radians that the view direction may rise or fall

export class CameraPath {
  constructor(up) {
    this.up = up;
    const side = Math.abs(up[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0];
    this.east = normalise(sub(side, scale(up, dot(side, up))));
    this.north = cross(up, this.east);
    this.keys = []; // cameras
    this.closed = false;
  }

  /** Angles of a direction about `up` and above the horizon. */
  anglesOf(forward) {
    const rise = Math.asin(Math.max(-1, Math.min(1, dot(forward, this.up))));
    return [Math.atan2(dot(forward, this.north), dot(forward, this.east)), Math.max(-STEEPEST, Math.min(STEEPEST, rise))];
  }

  /** What is interpolated, of each key: place, angles (turned by no more than half a turn), distance, lens. */
  rows() {
    const keys = this.closed && this.keys.length > 1 ? [...this.keys, this.keys[0]] : this.keys;
    let before = null;
    return keys.map((key) => {
      let [yaw, pitch] = this.anglesOf(key.axes[2]);
      if (before !== null) yaw += 2 * Math.PI * Math.round((before - yaw) / (2 * Math.PI));
      before = yaw;
      return [...key.centre, yaw, pitch, Math.log(key.distance), ...LENS.map((name) => key.lens[name])];
    });
  }

  /** The camera at `share` of the way, from 0 to 1; it moves about evenly, and passes each key on its way. */
  at(share) {
    const rows = this.rows(), times = timesOf(rows);
    const time = Math.max(0, Math.min(1, share)) * times[times.length - 1];
    let i = 0;
    while (i < rows.length - 2 && time > times[i + 1]) i++;
    return this.cameraOf(rows.length === 1 ? rows[0] : this.between(rows, times, i, time));
  }

  between(rows, times, i, time) {
    const width = times[i + 1] - times[i], t = (time - times[i]) / width;
    const before = this.slopes(rows, times, i), after = this.slopes(rows, times, i + 1);
    return rows[i].map((from, k) => { // cubic Hermite
      const to = rows[i + 1][k], d = to - from;
      return from + t * (width * before[k] + t * (3 * d - width * (2 * before[k] + after[k])
        + t * (width * (before[k] + after[k]) - 2 * d)));
    });
  }

  /** Change per time at a key: of the parabola through it and its neighbours; at an end, of the line to the next. */
  slopes(rows, times, i) {
    const last = rows.length - 1;
    const slope = (a) => rows[a].map((from, k) => (rows[a + 1][k] - from) / (times[a + 1] - times[a]));
    const around = this.closed && last > 1 && (i === 0 || i === last);
    if (!around && (i === 0 || i === last)) return slope(i === 0 ? 0 : last - 1);
    const [a, b] = around ? [last - 1, 0] : [i - 1, i];
    const before = times[a + 1] - times[a], after = times[b + 1] - times[b];
    const [left, right] = [slope(a), slope(b)];
    return left.map((value, k) => (value * after + right[k] * before) / (before + after));
  }

  cameraOf([x, y, z, yaw, pitch, distance, ...lens]) {
    const camera = new Camera(this.up);
    const level = add(scale(this.east, Math.cos(yaw)), scale(this.north, Math.sin(yaw)));
    camera.level(add(scale(level, Math.cos(pitch)), scale(this.up, Math.sin(pitch))));
    camera.centre = [x, y, z];
    camera.distance = Math.exp(distance);
    LENS.forEach((name, k) => { camera.lens[name] = lens[k]; });
    return camera;
  }
}

/** When each key is passed: the way between two is how far they are apart beside what they look at, and turned. */
function timesOf(rows) {
  const times = [0];
  for (let i = 1; i < rows.length; i++) {
    const [a, b] = [rows[i - 1], rows[i]];
    const away = length(sub(a, b)) / Math.exp((a[5] + b[5]) / 2);
    times.push(times[i - 1] + Math.max(Math.hypot(away, a[3] - b[3], a[4] - b[4]), 1e-3));
  }
  return times;
}

/** The file that `--render-cameras` reads: `count` frames of a size; and the keys, for this page. */
export function writePath(path, count, width, height) {
  const frames = [];
  for (let i = 0; i < count; i++) {
    const share = count === 1 ? 0 : i / (path.closed ? count : count - 1);
    frames.push({ image: `frame_${String(i).padStart(5, "0")}.png`, ...entryOf(path.at(share), width, height) });
  }
  const keys = path.keys.map((key) => ({ ...entryOf(key, key.lens.width, key.lens.height), distance: key.distance }));
  return `${JSON.stringify({ frames, path: { closed: path.closed, keys } }, null, 1)}\n`;
}

function entryOf(camera, width, height) {
  const { fx, fy, cx, cy } = camera.fitted(width, height);
  return {
    width, height, world_to_camera: [...camera.rows, [0, 0, 0, 1]],
    intrinsics: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]],
  };
}

/** Key views in such a file, or in any file of cameras as recon writes them; throws an Error that says what is wrong. */
export function readPath(text, camera, mostKeys) {
  let content;
  try { content = JSON.parse(text); } catch { throw new Error("it is no JSON file"); }
  const entries = content?.path?.keys ?? content?.frames;
  if (!Array.isArray(entries) || !entries.length) throw new Error('it has no cameras: {"frames": [{"world_to_camera": …}]}');
  const count = Math.min(entries.length, mostKeys);
  const chosen = Array.from({ length: count }, (_, i) => Math.round(i * (entries.length - 1) / Math.max(count - 1, 1)));
  return { closed: content?.path?.closed === true, keys: chosen.map((i) => keyOf(entries[i], i, camera)) };
}

function keyOf(entry, number, camera) {
  const wrong = (what) => new Error(`camera ${number + 1} ${what}`);
  const numbers = (matrix, rows, columns) => Array.isArray(matrix) && matrix.length >= rows
    && matrix.slice(0, rows).every((row) => Array.isArray(row) && row.length === columns && row.every(Number.isFinite));
  const m = entry?.world_to_camera, k = entry?.intrinsics;
  if (!numbers(m, 3, 4)) throw wrong("has no world_to_camera of three or four rows of four numbers");
  const axes = m.slice(0, 3).map((row) => row.slice(0, 3));
  if (dot(cross(axes[0], axes[1]), axes[2]) < 0.9) throw wrong("has a world_to_camera that does not begin with a rotation");
  const { lens } = camera;
  let intrinsics = [lens.fx, lens.fy, lens.cx, lens.cy], size = [lens.width, lens.height];
  if (k !== undefined && k !== null) {
    if (!numbers(k, 3, 3) || !(k[0][0] > 0 && k[1][1] > 0)) throw wrong("has intrinsics that are no camera's");
    intrinsics = [k[0][0], k[1][1], k[0][2], k[1][2]];
    size = entry.width > 0 && entry.height > 0 ? [entry.width, entry.height] : [2 * k[0][2], 2 * k[1][2]];
  }
  const key = camera.copy();
  key.standAt({ world_to_camera: m.slice(0, 3).flat(), intrinsics, size }, entry.distance > 0 ? entry.distance : camera.distance);
  return key;
}
