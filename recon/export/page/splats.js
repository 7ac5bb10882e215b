// Gaussian splats, drawn as recon's own rasterizer does: the affine approximation of the projection (EWA splatting),
// 0.3 pixels² added to the variance, alpha of at most 0.999 and nothing below 1/255, from back to front by z-depth.
// The pixels are those of the pictures that the splats were fitted to, where the canvas shows these enlarged: the gaps
// between splats that were fitted so are closed by what is added, and would open in smaller pixels.
import { CAMERA, CROP, makeProgram, makeTexture, setCamera } from "recon/gl.js";
import { readCodes, readNumbers } from "recon/packed.js";
import { pickPoint } from "recon/points.js";
import { sortProgram } from "recon/sort_worker.js";
import { joined } from "recon/stream.js";

const SPLATS_PER_ROW = 512, TEXELS = 4;
const ORDER_PER_ROW = 2048;
const DILATION = 0.3; // pixels²
const BATCH = 128; // splats in one instance: graphics processors are slow where each is an instance of four vertices

const VERTEX = `
${CAMERA}
${CROP}
uniform highp sampler2D geometry; // centre and opacity; then the three semi-axes, each with a channel of the colour
uniform highp sampler2D seen; // colours from here, where they depend on it
uniform bool varied;
uniform highp usampler2D order; // of the splats, from back to front
uniform int drawn;
uniform float dilation; // pixels² of the canvas
out vec2 whitened;
flat out vec4 color;
void main() {
  gl_Position = vec4(2, 2, 2, 1);
  int turn = gl_InstanceID * ${BATCH} + (gl_VertexID >> 2);
  if (turn >= drawn) return;
  int s = int(texelFetch(order, ivec2(turn % ${ORDER_PER_ROW}, turn / ${ORDER_PER_ROW}), 0).r);
  ivec2 place = ivec2((s % ${SPLATS_PER_ROW}) * ${TEXELS}, s / ${SPLATS_PER_ROW});
  vec4 a = texelFetch(geometry, place, 0);
  vec4 b = texelFetch(geometry, place + ivec2(1, 0), 0);
  vec4 c = texelFetch(geometry, place + ivec2(2, 0), 0);
  vec4 d = texelFetch(geometry, place + ivec2(3, 0), 0);
  float opacity = a.w;
  if (opacity < 1.0 / 255.0 || cropped(a.xyz)) return;
  vec3 p = toCamera(a.xyz);
  vec2 tangent = p.xy / p.z;
  vec2 centre = lens.xy * tangent + lens.zw;
  vec2 margin = 0.15 * size / lens.xy;
  vec2 slope = clamp(tangent, -lens.zw / lens.xy - margin, (size - lens.zw) / lens.xy + margin);
  vec3 jx = (rows[0].xyz - slope.x * rows[2].xyz) * lens.x / p.z;
  vec3 jy = (rows[1].xyz - slope.y * rows[2].xyz) * lens.y / p.z;
  vec3 u = vec3(dot(jx, b.xyz), dot(jx, c.xyz), dot(jx, d.xyz));
  vec3 v = vec3(dot(jy, b.xyz), dot(jy, c.xyz), dot(jy, d.xyz));
  float xx = dot(u, u), yy = dot(v, v), xy = dot(u, v);
  vec3 n = cross(u, v); // Cauchy-Binet: the usual difference would cancel for needles
  float determinant = dot(n, n) + dilation * (xx + yy) + dilation * dilation;
  xx += dilation;
  float root = sqrt(xx);
  float reach = sqrt(2.0 * log(255.0 * opacity));
  vec2 corner = vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1) * 2.0 - 1.0;
  whitened = corner * reach;
  vec2 pixel = centre + vec2(root * whitened.x, xy / root * whitened.x + sqrt(determinant) / root * whitened.y);
  vec3 rgb = varied
    ? texelFetch(seen, ivec2(s % ${SPLATS_PER_ROW}, s / ${SPLATS_PER_ROW}), 0).rgb
    : max(vec3(b.w, c.w, d.w), 0.0);
  color = vec4(rgb, opacity);
  gl_Position = toClip(pixel, p.z);
  gl_Position.z = clamp(gl_Position.z, -gl_Position.w, gl_Position.w);
}`;

const FRAGMENT = `
in vec2 whitened;
flat in vec4 color;
out vec4 result;
void main() {
  float alpha = color.a * exp(-0.5 * dot(whitened, whitened));
  if (alpha < 1.0 / 255.0) discard;
  alpha = min(alpha, 0.999);
  result = vec4(color.rgb * alpha, alpha);
}`;

/** The semi-axes of Gaussians, 9 numbers each, from vectors q = (x, y, z) / (1 + w) of their quaternions. */
function semiAxes(vectors, logScales) {
  const axes = new Float32Array(vectors.length * 3);
  for (let i = 0; i < vectors.length / 3; i++) {
    const a = vectors[3 * i], b = vectors[3 * i + 1], c = vectors[3 * i + 2];
    const squared = a * a + b * b + c * c, s = 2 / (1 + squared);
    const w = (1 - squared) / (1 + squared), x = s * a, y = s * b, z = s * c;
    const columns = [
      1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
      2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x),
      2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y),
    ];
    for (let k = 0; k < 9; k++) axes[9 * i + k] = columns[k] * Math.exp(logScales[3 * i + ((k / 3) | 0)]);
  }
  return axes;
}

export class Splats {
  /** Of the first piece, or of all. */
  static async read(gl, packed, scene, whole = false) {
    const pieces = [packed, ...(whole ? packed.more ?? [] : [])].map((piece) => piece.blocks);
    const all = (read, name) => Promise.all(pieces.map((blocks) => read(blocks[name])));
    const names = ["position", "scale", "rotation", "color", "opacity"];
    const read = await Promise.all(names.map(async (name) => joined(await all(readNumbers, name))));
    const harmonics = [];
    for (let degree = 1; degree <= packed.degree; degree++) {
      const block = pieces[0][`harmonics${degree}`];
      const columns = await all(readCodes, `harmonics${degree}`);
      const codes = columns[0].map((_, column) => joined(columns.map((piece) => piece[column])));
      harmonics.push({ codes, block, limit: packed.limits[degree - 1] });
    }
    return new Splats(gl, read, harmonics, scene.splat_focal);
  }

  /** Let go of everything. */
  close() {
    this.worker.terminate();
    for (const resolve of this.waiting) resolve();
    for (const texture of [this.geometry, this.seen, this.order]) this.gl.deleteTexture(texture);
    this.gl.deleteBuffer(this.buffer);
    this.gl.deleteVertexArray(this.vertices);
  }

  /** `focal`: focal length in pixels of the pictures that they were fitted to; null where that is not known. */
  constructor(gl, [means, logScales, vectors, base, opacities], harmonics, focal) {
    this.gl = gl;
    this.focal = focal;
    this.means = means;
    this.opacities = opacities;
    const count = (this.count = opacities.length);
    const height = (this.height = Math.max(Math.ceil(count / SPLATS_PER_ROW), 1));
    const geometry = new Float32Array(height * SPLATS_PER_ROW * TEXELS * 4);
    const axes = semiAxes(vectors, logScales);
    for (let i = 0; i < count; i++) {
      const at = 16 * i;
      for (let k = 0; k < 3; k++) {
        geometry[at + k] = means[3 * i + k];
        for (let axis = 0; axis < 3; axis++) geometry[at + 4 * axis + 4 + k] = axes[9 * i + 3 * axis + k];
        geometry[at + 4 * k + 7] = base[3 * i + k];
      }
      geometry[at + 3] = opacities[i];
    }
    const width = SPLATS_PER_ROW * TEXELS;
    this.geometry = makeTexture(gl, gl.RGBA32F, gl.RGBA, gl.FLOAT, width, height, geometry);
    this.varied = harmonics.length > 0;
    this.colors = this.varied ? new Float32Array(height * SPLATS_PER_ROW * 4) : null;
    this.seen = makeTexture(gl, gl.RGBA16F, gl.RGBA, gl.FLOAT, SPLATS_PER_ROW, this.varied ? height : 1, null);
    this.shader = makeProgram(gl, VERTEX, FRAGMENT);
    this.vertices = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    gl.bindVertexArray(this.vertices);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.buffer);
    const corners = Uint16Array.from({ length: 6 * BATCH }, (_, i) => 4 * Math.floor(i / 6) + [0, 1, 2, 2, 1, 3][i % 6]);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    const rows = Math.max(Math.ceil(count / ORDER_PER_ROW), 1);
    this.order = makeTexture(gl, gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, ORDER_PER_ROW, rows, null);
    this.drawn = 0;
    this.startWorker(base, harmonics);
  }

  startWorker(base, harmonics) {
    const rest = (harmonics.length + 1) ** 2 - 1;
    const codes = new Uint8Array(this.count * 3 * rest);
    const tables = new Float32Array(rest * 256);
    let first = 0;
    for (const { codes: columns, block, limit } of harmonics) {
      const here = columns.length / 3;
      const step = (block.high[0] - block.low[0]) / 255;
      columns.forEach((column, at) => {
        const channel = (at / here) | 0, k = first + (at % here);
        for (let i = 0; i < this.count; i++) codes[(3 * i + channel) * rest + k] = column[i];
      });
      for (let k = first; k < first + here; k++) {
        for (let code = 0; code < 256; code++) {
          const root = block.low[0] + code * step;
          tables[(k << 8) + code] = Math.sign(root) * root * root * limit;
        }
      }
      first += here;
    }
    const url = URL.createObjectURL(new Blob([`(${sortProgram})()`], { type: "text/javascript" }));
    this.worker = new Worker(url);
    this.worker.onmessage = ({ data }) => this.take(data);
    this.worker.postMessage({ means: this.means, base, codes, tables, coefficients: rest + 1 });
    this.waiting = [];
    this.busy = false;
    this.isColored = false; // ever: before, there is nothing to draw with
    this.wanted = null;
    this.sortedFor = "";
    this.coloredFor = "";
  }

  /** Ask for the order from this camera; resolves when it, or a later one, is there. */
  sort(shot, near) {
    const centre = shot.centre;
    const key = shot.rows[2].join() + near;
    const place = centre.join();
    if (key === this.sortedFor && (!this.varied || place === this.coloredFor)) { // done, or being done
      this.wanted = null;
      return this.busy ? new Promise((resolve) => this.waiting.push(resolve)) : Promise.resolve();
    }
    this.wanted = { row: shot.rows[2], centre, near, key, place };
    this.next();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  next() {
    if (this.busy || !this.wanted) return;
    const { row, centre, near, key, place } = this.wanted;
    this.wanted = null;
    this.busy = true;
    const colors = this.varied && place !== this.coloredFor ? this.colors : null;
    [this.sortedFor, this.coloredFor] = [key, place];
    this.worker.postMessage({ row, centre, near, colors }, colors ? [colors.buffer] : []);
  }

  take({ sorted, colors, milliseconds, isLast }) {
    const gl = this.gl;
    this.milliseconds = milliseconds; // that the worker has taken
    if (sorted) {
      this.takeOrder(sorted);
    }
    if (colors) {
      this.colors = colors;
      gl.bindTexture(gl.TEXTURE_2D, this.seen);
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, SPLATS_PER_ROW, this.height, gl.RGBA, gl.FLOAT, colors);
    }
    if (!isLast) {
      if (this.isColored) this.changed?.();
      return;
    }
    this.isColored = true;
    this.busy = false;
    if (this.wanted) return this.next();
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
    this.changed?.();
  }

  takeOrder(sorted) {
    const gl = this.gl, whole = Math.floor(sorted.length / ORDER_PER_ROW);
    const give = (row, rows, columns, from) => rows && columns && gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, row, columns, rows, gl.RED_INTEGER, gl.UNSIGNED_INT, sorted, from);
    gl.bindTexture(gl.TEXTURE_2D, this.order);
    give(0, whole, ORDER_PER_ROW, 0);
    give(whole, 1, sorted.length % ORDER_PER_ROW, whole * ORDER_PER_ROW);
    this.drawn = sorted.length;
  }

  pick(where) { return pickPoint(this.means, where, (i) => this.opacities[i] > 0.3); }

  draw(shot) {
    if (!this.isColored) return;
    const gl = this.gl, { program, at } = this.shader;
    gl.useProgram(program);
    setCamera(gl, at, shot);
    gl.uniform1i(at.geometry, 0);
    gl.uniform1i(at.seen, 1);
    gl.uniform1i(at.order, 2);
    gl.uniform1i(at.drawn, this.drawn);
    const enlarged = Math.max(shot.lens.fx / (this.focal ?? Infinity), 1);
    gl.uniform1f(at.dilation, DILATION * enlarged ** 2);
    gl.uniform1i(at.varied, this.varied ? 1 : 0);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.geometry);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.seen);
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, this.order);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindVertexArray(this.vertices);
    gl.enable(gl.DEPTH_TEST);
    gl.depthMask(false);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawElementsInstanced(gl.TRIANGLES, 6 * BATCH, gl.UNSIGNED_SHORT, 0, Math.ceil(this.drawn / BATCH));
    gl.disable(gl.BLEND);
    gl.depthMask(true);
  }
}
