// Lines in the scene: sets of them by name, each of one colour.
import { CAMERA, makeProgram, setCamera } from "recon/gl.js";

const VERTEX = `
${CAMERA}
layout(location = 0) in vec3 position;
void main() { gl_Position = clipOf(toCamera(position)); }`;

const FRAGMENT = `
uniform vec3 plain;
out vec4 result;
void main() { result = vec4(plain, 1); }`;

export class Lines {
  constructor(gl) {
    this.gl = gl;
    this.shader = makeProgram(gl, VERTEX, FRAGMENT);
    this.sets = new Map();
  }

  /** `points`: both ends of each line, in the world; none removes the set. */
  set(name, points, color) {
    const gl = this.gl;
    let one = this.sets.get(name);
    if (!one) {
      one = { vertices: gl.createVertexArray(), buffer: gl.createBuffer() };
      gl.bindVertexArray(one.vertices);
      gl.bindBuffer(gl.ARRAY_BUFFER, one.buffer);
      gl.enableVertexAttribArray(0);
      gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0);
      gl.bindVertexArray(null);
      this.sets.set(name, one);
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, one.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(points.flat()), gl.DYNAMIC_DRAW);
    Object.assign(one, { count: points.length, color });
  }

  draw(shot) {
    const gl = this.gl, { program, at } = this.shader;
    gl.useProgram(program);
    setCamera(gl, at, shot);
    gl.enable(gl.DEPTH_TEST);
    for (const { vertices, count, color } of this.sets.values()) {
      if (!count) continue;
      gl.uniform3f(at.plain, ...color);
      gl.bindVertexArray(vertices);
      gl.drawArrays(gl.LINES, 0, count);
    }
  }
}
