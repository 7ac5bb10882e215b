// Point clouds: coloured by the photos, by depth from here, by photo or by confidence, without the least sure ones.
import { CAMERA, CROP, DEPTH_COLOR, makeProgram, setCamera, setDepthColors } from "recon/gl.js";
import { readCodes, readNumbers } from "recon/packed.js";

const VERTEX = `
${CAMERA}
${CROP}
${DEPTH_COLOR}
uniform float pointSize;
uniform float leastRank; // share of the points that are left out, the least confident ones
uniform int coloring; // 0 photo, 1 depth, 2 view, 3 confidence
uniform float views;
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 photoColor;
layout(location = 2) in float rank;
layout(location = 3) in float view;
flat out vec3 color;
void main() {
  vec3 p = toCamera(position);
  gl_Position = rank < leastRank || p.z <= 0.0 || cropped(position) ? vec4(2, 2, 2, 1) : clipOf(p);
  gl_PointSize = pointSize;
  color = photoColor;
  if (coloring == 1) color = depthColor(p.z);
  else if (coloring == 2) {
    vec3 hue = abs(mod((view + 0.5) / views * 6.0 + vec3(0, 4, 2), 6.0) - 3.0) - 1.0;
    color = mix(vec3(0.14), vec3(0.95), clamp(hue, 0.0, 1.0));
  } else if (coloring == 3) color = rampColor(rank);
}`;

const FRAGMENT = `
flat in vec3 color;
uniform bool round;
out vec4 result;
void main() {
  if (round && length(gl_PointCoord - 0.5) > 0.5) discard;
  result = vec4(color, 1);
}`;

const DRAWN_AGAIN = 1.5; // times the points that were drawn: pieces that come faster than they are drawn are not waited for

export const COLORINGS = ["photo", "depth", "view", "confidence"];

export class Points {
  /** Of the first piece; `readMore` adds the others. */
  static async read(gl, packed, scene) {
    const points = new Points(gl, scene, { ...(await readPiece(packed)), levels: packed.confidence_levels }, packed.count);
    points.more = packed.more ?? [];
    return points;
  }

  /**
   * `views` (of origin) and `ranks` (of confidence, from 0 to 255) of the points, where they are known; with room for
   * `capacity` points.
   */
  constructor(gl, scene, { positions, colors, views, ranks, levels }, capacity = positions.length / 3) {
    this.gl = gl;
    this.count = 0; // of the pieces that are here
    this.capacity = capacity;
    this.allPositions = new Float32Array(3 * capacity);
    this.views = views ? new Uint16Array(capacity) : null;
    this.ranks = ranks ? new Uint8Array(capacity) : null;
    this.levels = levels;
    this.more = [];
    this.scene = scene;
    this.pointSize = 2.5;
    this.leastRank = 0;
    this.coloring = 0;
    this.shader = makeProgram(gl, VERTEX, FRAGMENT);
    this.pieces = []; // {vertices, count}: buffers of their own, for one of all points would be waited for
    this.append({ positions, colors, views, ranks });
  }

  /** (count, 3) of the pieces that are here. */
  get positions() { return this.allPositions.subarray(0, 3 * this.count); }

  /** The pieces that are not in the page, each drawn as it comes; `told` how many points are here. */
  async readMore(told) {
    let drawn = this.count;
    for (const piece of this.more) {
      this.append(await readPiece(piece));
      told(this.count);
      if (this.count < DRAWN_AGAIN * drawn && this.count < this.capacity) continue;
      drawn = this.count;
      this.changed?.();
    }
  }

  append({ positions, colors, views, ranks }) {
    const gl = this.gl, first = this.count, count = positions.length / 3;
    const interleaved = new Uint8Array(count * 4);
    colors.forEach((channel, c) => { for (let i = 0; i < count; i++) interleaved[4 * i + c] = channel[i]; });
    if (ranks) for (let i = 0; i < count; i++) interleaved[4 * i + 3] = ranks[i];
    const vertices = gl.createVertexArray();
    gl.bindVertexArray(vertices);
    const give = (data) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    };
    for (let i = 0; i < (views ? 4 : 3); i++) gl.enableVertexAttribArray(i);
    give(positions);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    give(interleaved);
    gl.vertexAttribPointer(1, 3, gl.UNSIGNED_BYTE, true, 4, 0);
    gl.vertexAttribPointer(2, 1, gl.UNSIGNED_BYTE, true, 4, 3);
    if (views) {
      give(views);
      gl.vertexAttribPointer(3, 1, gl.UNSIGNED_SHORT, false, 0, 0);
    }
    gl.bindVertexArray(null);
    this.pieces.push({ vertices, count });
    this.allPositions.set(positions, 3 * first);
    if (views) this.views.set(views, first);
    if (ranks) this.ranks.set(ranks, first);
    this.count = first + count;
  }

  draw(shot, ratio) {
    const gl = this.gl, { program, at } = this.shader;
    gl.useProgram(program);
    setCamera(gl, at, shot);
    setDepthColors(gl, at, this.scene);
    gl.uniform1f(at.pointSize, this.pointSize * ratio);
    gl.uniform1f(at.leastRank, this.ranks ? this.leastRank : -1);
    gl.uniform1i(at.coloring, this.coloring);
    gl.uniform1f(at.views, Math.max(this.scene.views.length, 1));
    gl.uniform1i(at.round, this.pointSize * ratio >= 3 ? 1 : 0);
    gl.enable(gl.DEPTH_TEST);
    for (const { vertices, count } of this.pieces) {
      gl.bindVertexArray(vertices);
      gl.drawArrays(gl.POINTS, 0, count);
    }
  }

  shows(i) { return !this.ranks || this.ranks[i] / 255 >= this.leastRank; }

  pick(where) { return pickPoint(this.positions, where, (i) => this.shows(i)); }

  /** What is known of a point beside its place. */
  describe(i) {
    return { from: this.views?.[i], confidence: this.ranks ? this.levels[this.ranks[i]] : null };
  }
}

async function readPiece({ blocks: { position, color, view, confidence } }) {
  const [positions, colors, views, ranks] = await Promise.all([
    readNumbers(position), readCodes(color), view && readCodes(view), confidence && readCodes(confidence),
  ]);
  return { positions, colors, views: views?.[0], ranks: ranks?.[0] };
}

/**
 * The nearest of `positions` within a few pixels of a pixel of the canvas: {index, point, depth}, or null.
 * `where`: {camera, x, y, width, height, isInside(x, y, z)}; `shows(i)`: whether a point is there at all.
 */
export function pickPoint(positions, { camera, x, y, width, height, isInside }, shows, radius = 6) {
  const { fx, fy, cx, cy } = camera.fitted(width, height);
  const [r, d, f] = camera.rows;
  let best = -1, nearest = Infinity;
  for (let i = 0; i < positions.length / 3; i++) {
    const px = positions[3 * i], py = positions[3 * i + 1], pz = positions[3 * i + 2];
    const z = f[0] * px + f[1] * py + f[2] * pz + f[3];
    if (z <= 0 || z >= nearest) continue;
    const u = fx * (r[0] * px + r[1] * py + r[2] * pz + r[3]) / z + cx - x;
    if (u > radius || u < -radius) continue;
    const v = fy * (d[0] * px + d[1] * py + d[2] * pz + d[3]) / z + cy - y;
    if (u * u + v * v > radius * radius || !shows(i) || !isInside(px, py, pz)) continue;
    best = i;
    nearest = z;
  }
  return best < 0 ? null : { index: best, point: [...positions.subarray(3 * best, 3 * best + 3)], depth: nearest };
}
