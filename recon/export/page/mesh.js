// The surface: with the colours of the photos, shaded, or coloured by depth from here.
import { CAMERA, CROP, DEPTH_COLOR, makeProgram, setCamera, setDepthColors } from "recon/gl.js";
import { readCodes, readNumbers } from "recon/packed.js";
import { cross, dot, sub } from "recon/vectors.js";

const VERTEX = `
${CAMERA}
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 photoColor;
layout(location = 2) in vec2 place;
out vec3 world;
out vec3 color;
out vec2 at;
out float z;
void main() {
  vec3 p = toCamera(position);
  world = position;
  color = photoColor;
  at = place;
  z = p.z;
  gl_Position = clipOf(p);
}`;

const FRAGMENT = `
${CROP}
${DEPTH_COLOR}
in vec3 world;
in vec3 color;
in vec2 at;
in float z;
uniform vec3 centre; // of the camera
uniform int coloring; // 0 photo, 1 shaded, 2 depth
uniform bool textured;
uniform sampler2D picture;
out vec4 result;
void main() {
  if (cropped(world)) discard;
  vec3 shown = textured ? texture(picture, at).rgb : color;
  if (coloring == 1) {
    vec3 normal = normalize(cross(dFdx(world), dFdy(world)));
    shown = vec3(0.15 + 0.75 * abs(dot(normal, normalize(world - centre))));
  } else if (coloring == 2) shown = depthColor(z);
  result = vec4(shown, 1);
}`;

/** Triangles as three vertices each, from the three columns of the block. */
function interleave(columns) {
  const faces = new Uint32Array(3 * columns[0].length);
  columns.forEach((column, k) => { for (let i = 0; i < column.length; i++) faces[3 * i + k] = column[i]; });
  return faces;
}

export class Mesh {
  static async read(gl, packed, scene) {
    const { position, color, face, place, texture } = packed.blocks;
    const [positions, colors, faces, places, picture] = await Promise.all([
      readNumbers(position), color && readCodes(color), readCodes(face), place && readNumbers(place),
      texture && readCodes(texture),
    ]);
    const mesh = new Mesh(gl, positions, colors, interleave(faces), places, scene);
    if (picture) await mesh.loadTexture(picture[0]);
    return mesh;
  }

  /** `places`: where a texture shows each vertex, from its upper left corner, two numbers from 0 to 1. */
  constructor(gl, positions, colors, faces, places, scene) {
    Object.assign(this, { gl, positions, faces, scene, coloring: 0, texture: null });
    this.shader = makeProgram(gl, VERTEX, FRAGMENT);
    this.vertices = gl.createVertexArray();
    gl.bindVertexArray(this.vertices);
    const give = (at, data, size, type, normalized) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, type, normalized, 0, 0);
    };
    give(0, positions, 3, gl.FLOAT, false);
    if (colors) {
      const bytes = new Uint8Array(positions.length);
      colors.forEach((channel, c) => { for (let i = 0; i < channel.length; i++) bytes[3 * i + c] = channel[i]; });
      give(1, bytes, 3, gl.UNSIGNED_BYTE, true);
    }
    if (places) give(2, places, 2, gl.FLOAT, false);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, faces, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
  }

  async loadTexture(bytes) {
    const gl = this.gl, image = await createImageBitmap(new Blob([bytes]));
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  }

  draw(shot) {
    const gl = this.gl, { program, at } = this.shader;
    gl.useProgram(program);
    setCamera(gl, at, shot);
    setDepthColors(gl, at, this.scene);
    gl.uniform3f(at.centre, ...shot.centre);
    gl.uniform1i(at.coloring, this.coloring);
    gl.uniform1i(at.textured, this.texture ? 1 : 0);
    gl.uniform1i(at.picture, 0);
    gl.activeTexture(gl.TEXTURE0);
    if (this.texture) gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.vertexAttrib3f(1, 0.5, 0.5, 0.5); // where there are no colours
    gl.bindVertexArray(this.vertices);
    gl.enable(gl.DEPTH_TEST);
    gl.drawElements(gl.TRIANGLES, this.faces.length, gl.UNSIGNED_INT, 0);
  }

  /** The point that the ray through a pixel meets first (Möller and Trumbore): {point, depth}, or null. */
  pick({ camera, x, y, width, height, isInside }) {
    const origin = camera.centre, ray = camera.ray(x, y, width, height), { positions, faces } = this;
    const corner = (i) => positions.subarray(3 * i, 3 * i + 3);
    let found = null;
    for (let f = 0; f < faces.length; f += 3) {
      const a = corner(faces[f]), edge = sub(corner(faces[f + 1]), a), other = sub(corner(faces[f + 2]), a);
      const p = cross(ray, other), determinant = dot(edge, p);
      if (!determinant) continue;
      const from = sub(origin, a), u = dot(from, p) / determinant;
      if (u < 0 || u > 1) continue;
      const q = cross(from, edge), v = dot(ray, q) / determinant;
      if (v < 0 || u + v > 1) continue;
      const depth = dot(other, q) / determinant;
      if (depth <= 0 || (found && depth >= found.depth)) continue;
      const point = [0, 1, 2].map((k) => origin[k] + ray[k] * depth);
      if (isInside(...point)) found = { point, depth };
    }
    return found;
  }
}
