// Which views see a place: those whose depth there is what it should be.
import { readCodes } from "recon/packed.js";

const TOLERANCE = 0.03; // of the depth

export class Visibility {
  constructor(views) {
    this.views = views;
    this.maps = null;
  }

  read() {
    this.maps ??= Promise.all(this.views.map(async ({ depths }) => depths && (await readCodes(depths))[0]));
    return this.maps;
  }

  /** Numbers of the views that see a point of the world; null where there is no depth to tell from. */
  async seeing(point) {
    if (!this.views.some((view) => view.depths)) return null;
    const maps = await this.read();
    return this.views.map((_, i) => i).filter((i) => maps[i] && sees(this.views[i], maps[i], point));
  }
}

/** Whether one of the depths around where a view shows a point is the point's own. */
function sees(view, codes, point) {
  const m = view.world_to_camera, [fx, fy, cx, cy] = view.intrinsics, [width, height] = view.size;
  const [x, y, z] = [0, 4, 8].map((k) => m[k] * point[0] + m[k + 1] * point[1] + m[k + 2] * point[2] + m[k + 3]);
  if (!(z > 0)) return false;
  const u = fx * x / z + cx, v = fy * y / z + cy;
  if (u < 0 || v < 0 || u >= width || v >= height) return false;
  const { columns, rows, step, low: [low], high: [high] } = view.depths;
  const column = Math.floor(u / step), row = Math.floor(v / step);
  for (let r = Math.max(row - 1, 0); r <= Math.min(row + 1, rows - 1); r++) {
    for (let c = Math.max(column - 1, 0); c <= Math.min(column + 1, columns - 1); c++) {
      const code = codes[r * columns + c];
      if (code && Math.abs(Math.exp(low + code * (high - low) / 65535) / z - 1) <= TOLERANCE) return true;
    }
  }
  return false;
}
