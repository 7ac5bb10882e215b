// The point cloud: coloured by the photos, by depth from here or by photo, without the least sure ones.
import { CAMERA, makeProgram, setCamera } from "recon/gl.js";
import { readCodes, readNumbers } from "recon/packed.js";

const VERTEX = `
${CAMERA}
uniform float pointSize;
uniform float leastRank; // share of the points that are left out, the least confident ones
uniform int coloring; // 0 photo, 1 depth, 2 view
uniform float views;
uniform vec2 disparities; // of far and near
uniform vec3 ramp[10];
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 photoColor;
layout(location = 2) in float rank;
layout(location = 3) in float view;
flat out vec3 color;
void main() {
  vec3 p = toCamera(position);
  gl_Position = rank < leastRank || p.z <= 0.0 ? vec4(2, 2, 2, 1) : clipOf(p);
  gl_PointSize = pointSize;
  color = photoColor;
  if (coloring == 1) {
    float t = clamp((1.0 / p.z - disparities.x) / (disparities.y - disparities.x), 0.0, 1.0) * 9.0;
    int i = min(int(t), 8);
    color = mix(ramp[i], ramp[i + 1], t - float(i));
  } else if (coloring == 2) {
    vec3 hue = abs(mod((view + 0.5) / views * 6.0 + vec3(0, 4, 2), 6.0) - 3.0) - 1.0;
    color = mix(vec3(0.14), vec3(0.95), clamp(hue, 0.0, 1.0));
  }
}`;

const FRAGMENT = `
flat in vec3 color;
uniform bool round;
out vec4 result;
void main() {
  if (round && length(gl_PointCoord - 0.5) > 0.5) discard;
  result = vec4(color, 1);
}`;

export class Points {
  static async read(gl, packed, scene) {
    const { position, color, view, confidence } = packed.blocks;
    const [positions, colors, views, ranks] = await Promise.all([
      readNumbers(position), readCodes(color), readCodes(view), confidence ? readCodes(confidence) : null,
    ]);
    return new Points(gl, positions, colors, views[0], ranks && ranks[0], packed, scene);
  }

  constructor(gl, positions, colors, views, ranks, packed, scene) {
    this.gl = gl;
    this.count = views.length;
    this.positions = positions;
    this.views = views;
    this.ranks = ranks;
    this.levels = packed.confidence_levels;
    this.scene = scene;
    this.pointSize = 2.5;
    this.leastRank = 0;
    this.coloring = 0;
    this.shader = makeProgram(gl, VERTEX, FRAGMENT);
    this.vertices = gl.createVertexArray();
    gl.bindVertexArray(this.vertices);
    const interleaved = new Uint8Array(this.count * 4);
    colors.forEach((channel, c) => { for (let i = 0; i < this.count; i++) interleaved[4 * i + c] = channel[i]; });
    if (ranks) for (let i = 0; i < this.count; i++) interleaved[4 * i + 3] = ranks[i];
    const give = (data) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    };
    for (let i = 0; i < 4; i++) gl.enableVertexAttribArray(i);
    give(positions);
    gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
    give(interleaved);
    gl.vertexAttribPointer(1, 3, gl.UNSIGNED_BYTE, true, 4, 0);
    gl.vertexAttribPointer(2, 1, gl.UNSIGNED_BYTE, true, 4, 3);
    give(views);
    gl.vertexAttribPointer(3, 1, gl.UNSIGNED_SHORT, false, 0, 0);
    gl.bindVertexArray(null);
  }

  draw(shot, ratio) {
    const gl = this.gl, { program, at } = this.shader;
    gl.useProgram(program);
    setCamera(gl, at, shot);
    gl.uniform1f(at.pointSize, this.pointSize * ratio);
    gl.uniform1f(at.leastRank, this.ranks ? this.leastRank : -1);
    gl.uniform1i(at.coloring, this.coloring);
    gl.uniform1f(at.views, this.scene.views.length);
    gl.uniform2fv(at.disparities, this.scene.disparities);
    gl.uniform3fv(at.ramp, this.scene.depth_colors.flat());
    gl.uniform1i(at.round, this.pointSize * ratio >= 3 ? 1 : 0);
    gl.bindVertexArray(this.vertices);
    gl.enable(gl.DEPTH_TEST);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  shown(i) { return !this.ranks || this.ranks[i] / 255 >= this.leastRank; }
}

/** Index of the nearest of `positions` within `radius` pixels of a pixel of the canvas; -1 where there is none. */
export function pick(positions, camera, x, y, width, height, radius, shown) {
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
    if (u * u + v * v > radius * radius || !shown(i)) continue;
    best = i;
    nearest = z;
  }
  return best;
}
