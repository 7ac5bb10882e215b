// WebGL 2: programs, and a picture of half floats that is drawn into.

export function makeProgram(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, `#version 300 es\nprecision highp float;\nprecision highp int;\n${source}`);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  const at = {};
  const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS);
  for (let i = 0; i < count; i++) {
    const name = gl.getActiveUniform(program, i).name.replace("[0]", "");
    at[name] = gl.getUniformLocation(program, name);
  }
  return { program, at };
}

/** Vertex shader part: world to clip space, the camera as three rows and a lens in pixels. */
export const CAMERA = `
uniform vec4 rows[3];
uniform vec4 lens; // fx, fy, cx, cy
uniform vec2 size;
uniform vec2 range; // near and far of what is drawn with depth
vec3 toCamera(vec3 world) {
  vec4 p = vec4(world, 1);
  return vec3(dot(rows[0], p), dot(rows[1], p), dot(rows[2], p));
}
vec4 toClip(vec2 pixel, float z) {
  float ends = range.y - range.x;
  float clip = ((range.y + range.x) * z - 2.0 * range.x * range.y) / ends;
  return vec4((2.0 * pixel.x / size.x - 1.0) * z, (1.0 - 2.0 * pixel.y / size.y) * z, clip, z);
}
vec4 clipOf(vec3 p) {
  float ends = range.y - range.x;
  float clip = ((range.y + range.x) * p.z - 2.0 * range.x * range.y) / ends;
  vec2 c = 2.0 * lens.zw / size - 1.0;
  return vec4(2.0 * lens.x / size.x * p.x + c.x * p.z, -(2.0 * lens.y / size.y * p.y + c.y * p.z), clip, p.z);
}
`;

/** Shader part: whether a place in the world is outside of the crop box. */
export const CROP = `
uniform vec3 cropLow;
uniform vec3 cropHigh;
bool cropped(vec3 world) { return any(lessThan(world, cropLow)) || any(greaterThan(world, cropHigh)); }
`;

/** Shader part: colours of depth, near to far as pictures of depth have them. */
export const DEPTH_COLOR = `
uniform vec2 disparities; // of far and near
uniform vec3 ramp[10];
vec3 rampColor(float share) {
  float t = clamp(share, 0.0, 1.0) * 9.0;
  int i = min(int(t), 8);
  return mix(ramp[i], ramp[i + 1], t - float(i));
}
vec3 depthColor(float z) { return rampColor((1.0 / z - disparities.x) / (disparities.y - disparities.x)); }
`;

export function setDepthColors(gl, at, scene) {
  gl.uniform2fv(at.disparities, scene.disparities);
  gl.uniform3fv(at.ramp, scene.depth_colors.flat());
}

const EVERYWHERE = { low: [-3e38, -3e38, -3e38], high: [3e38, 3e38, 3e38] };

export function setCamera(gl, at, shot) {
  gl.uniform4fv(at.rows, shot.rows.flat());
  gl.uniform4f(at.lens, shot.lens.fx, shot.lens.fy, shot.lens.cx, shot.lens.cy);
  gl.uniform2f(at.size, shot.width, shot.height);
  gl.uniform2f(at.range, shot.near, shot.far);
  if (!at.cropLow) return;
  const { low, high } = shot.crop ?? EVERYWHERE;
  gl.uniform3fv(at.cropLow, low);
  gl.uniform3fv(at.cropHigh, high);
}

/** A texture of `rows` rows of `width` texels; `data` may end before the last row does. */
export function makeTexture(gl, internal, format, type, width, height, data) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, data);
  return texture;
}

/** What is drawn into before it is shown: many thin layers would not add up in eight bits. */
export class Target {
  constructor(gl) {
    this.gl = gl;
    this.isFloat = Boolean(gl.getExtension("EXT_color_buffer_float") || gl.getExtension("EXT_color_buffer_half_float"));
    this.width = this.height = 0;
    this.show = makeProgram(gl, `
      void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0, 1); }`, `
      uniform sampler2D picture;
      out vec4 color;
      void main() { color = vec4(texelFetch(picture, ivec2(gl_FragCoord.xy), 0).rgb, 1); }`);
    this.nothing = gl.createVertexArray();
    this.blank = makeTexture(gl, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, 1, 1, new Uint8Array(4));
  }

  begin(width, height, background) {
    const gl = this.gl;
    if (width !== this.width || height !== this.height) this.resize(width, height);
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.blank); // not what is drawn into
    gl.viewport(0, 0, width, height);
    gl.depthMask(true);
    gl.clearColor(...background, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  }

  resize(width, height) {
    const gl = this.gl;
    gl.deleteTexture(this.color);
    gl.deleteRenderbuffer(this.depth);
    gl.deleteFramebuffer(this.frame);
    const [internal, type] = this.isFloat ? [gl.RGBA16F, gl.HALF_FLOAT] : [gl.RGBA8, gl.UNSIGNED_BYTE];
    this.color = makeTexture(gl, internal, gl.RGBA, type, width, height, null);
    this.depth = gl.createRenderbuffer();
    gl.bindRenderbuffer(gl.RENDERBUFFER, this.depth);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height);
    this.frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.color, 0);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, this.depth);
    Object.assign(this, { width, height });
  }

  end() {
    const gl = this.gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, this.width, this.height);
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.BLEND);
    gl.useProgram(this.show.program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.color);
    gl.bindVertexArray(this.nothing);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }
}
