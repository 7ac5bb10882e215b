// The photos where they were taken: each in its camera's frustum.
import { CAMERA, makeProgram, setCamera } from "recon/gl.js";
import { pictureUrl } from "recon/stream.js";
import { add, cross, dot, length, scale, sub } from "recon/vectors.js";

const VERTEX = `
${CAMERA}
layout(location = 0) in vec3 position;
layout(location = 1) in vec2 place;
out vec2 at;
void main() {
  at = place;
  gl_Position = clipOf(toCamera(position));
}`;

const FRAGMENT = `
in vec2 at;
uniform sampler2D picture;
uniform bool textured;
uniform vec3 plain;
out vec4 result;
void main() { result = vec4(textured ? texture(picture, at).rgb : plain, 1); }`;

const EDGES = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1]; // 0: the centre
const SURE = [0.2, 0.55, 0.95], WEAK = [0.9, 0.1, 0.15]; // of cameras that are not to be relied on
const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

export class Photos {
  constructor(gl, views) {
    this.gl = gl;
    this.views = views;
    this.urls = views.map((view) => ({ photo: urlOf(view.photo), depth: urlOf(view.depth) }));
    this.textures = views.map(() => null);
    this.shader = makeProgram(gl, VERTEX, FRAGMENT);
    this.vertices = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    gl.bindVertexArray(this.vertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.enableVertexAttribArray(0);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 20, 0);
    gl.vertexAttribPointer(1, 2, gl.FLOAT, false, 20, 12);
    gl.bindVertexArray(null);
    this.highlighted = new Set();
    this.resize(1);
    this.isLoading = false;
  }

  async load(url, i) {
    const image = new Image();
    image.src = url;
    try {
      await image.decode();
    } catch { // a photo that the server cannot read any more: its frustum stays
      this.urls[i].photo = null;
      return;
    }
    const gl = this.gl;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.textures[i] = texture;
    this.changed?.();
  }

  /** Frusta that reach to `depth`. */
  resize(depth) {
    this.depth = depth;
    this.corners = this.views.map((view) => cornersOf(view, depth));
    const numbers = [];
    for (const points of this.corners) {
      for (const i of [1, 2, 3, 1, 3, 4]) numbers.push(...points[i], ...CORNERS[i - 1]);
      for (const i of EDGES) numbers.push(...points[i], 0, 0);
    }
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffer);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, new Float32Array(numbers), this.gl.STATIC_DRAW);
  }

  /** All frusta and their photos, but for one that the camera is inside of. */
  draw(shot) {
    if (!this.isLoading) { // when they are first shown: many may never be
      this.isLoading = true;
      this.urls.forEach((urls, i) => urls.photo && this.load(urls.photo, i));
    }
    this.drawViews(shot, this.views.map((_, i) => i), true);
  }

  drawHighlighted(shot) { if (this.highlighted.size) this.drawViews(shot, [...this.highlighted], false); }

  drawViews(shot, views, filled) {
    const gl = this.gl, { program, at } = this.shader;
    gl.useProgram(program);
    setCamera(gl, at, shot);
    gl.bindVertexArray(this.vertices);
    gl.enable(gl.DEPTH_TEST);
    gl.uniform1i(at.picture, 0);
    const each = 6 + EDGES.length;
    for (const i of views) {
      if (this.isInside(i, shot.centre)) continue;
      if (filled && this.textures[i]) {
        gl.bindTexture(gl.TEXTURE_2D, this.textures[i]);
        gl.uniform1i(at.textured, 1);
        gl.drawArrays(gl.TRIANGLES, i * each, 6);
      }
      gl.uniform1i(at.textured, 0);
      gl.uniform3f(at.plain, ...(this.highlighted.has(i) ? [1, 0.6, 0] : this.views[i].weak ? WEAK : SURE));
      gl.drawArrays(gl.LINES, i * each + 6, EDGES.length);
    }
  }

  isInside(view, centre) {
    return length(sub(this.corners[view][0], centre)) < 0.5 * this.depth;
  }

  /** The photo that a ray meets first: {view, depth along the ray's direction}, or null. */
  hit(origin, ray) {
    let found = null;
    this.corners.forEach(([, a, b, , d], view) => {
      if (this.isInside(view, origin)) return;
      const right = sub(b, a), down = sub(d, a), normal = cross(right, down);
      const t = dot(sub(a, origin), normal) / dot(ray, normal);
      if (!(t > 1e-6) || (found && t >= found.depth)) return;
      const inside = sub(add(origin, scale(ray, t)), a);
      const u = dot(inside, right) / dot(right, right), v = dot(inside, down) / dot(down, down);
      if (u >= 0 && u <= 1 && v >= 0 && v <= 1) found = { view, depth: t };
    });
    return found;
  }
}

function urlOf(block) {
  return block ? pictureUrl(block) : null;
}

/** Centre and four corners of a view's image at a depth, in the world. */
function cornersOf(view, depth) {
  const m = view.world_to_camera, [fx, fy, cx, cy] = view.intrinsics, [width, height] = view.size;
  const toWorld = (p) => {
    const q = [p[0] - m[3], p[1] - m[7], p[2] - m[11]];
    return [0, 1, 2].map((i) => m[i] * q[0] + m[4 + i] * q[1] + m[8 + i] * q[2]);
  };
  const corners = CORNERS.map(([x, y]) => toWorld([(x * width - cx) / fx * depth, (y * height - cy) / fy * depth, depth]));
  return [toWorld([0, 0, 0]), ...corners];
}
