// What runs beside the page: the order of the splats seen from a camera, and their colours from there.

/** The worker's program; it uses nothing from outside. */
export function sortProgram() {
  let means, base, codes, tables, coefficients, count;

  function colours(centre, target) {
    const rest = coefficients - 1;
    const basis = new Float64Array(15);
    for (let i = 0; i < count; i++) {
      let x = means[3 * i] - centre[0], y = means[3 * i + 1] - centre[1], z = means[3 * i + 2] - centre[2];
      const inverse = 1 / Math.sqrt(x * x + y * y + z * z);
      x *= inverse; y *= inverse; z *= inverse;
      basis[0] = -0.4886025119029199 * y;
      basis[1] = 0.4886025119029199 * z;
      basis[2] = -0.4886025119029199 * x;
      if (rest > 3) {
        basis[3] = 1.0925484305920792 * x * y;
        basis[4] = -1.0925484305920792 * y * z;
        basis[5] = 0.31539156525252005 * (3 * z * z - 1);
        basis[6] = -1.0925484305920792 * x * z;
        basis[7] = 0.5462742152960396 * (x * x - y * y);
      }
      if (rest > 8) {
        basis[8] = -0.5900435899266435 * y * (3 * x * x - y * y);
        basis[9] = 2.890611442640554 * x * y * z;
        basis[10] = -0.4570457994644658 * y * (5 * z * z - 1);
        basis[11] = 0.3731763325901154 * z * (5 * z * z - 3);
        basis[12] = -0.4570457994644658 * x * (5 * z * z - 1);
        basis[13] = 1.445305721320277 * z * (x * x - y * y);
        basis[14] = -0.5900435899266435 * x * (x * x - 3 * y * y);
      }
      for (let channel = 0; channel < 3; channel++) {
        let value = base[3 * i + channel];
        const first = (3 * i + channel) * rest;
        for (let k = 0; k < rest; k++) value += basis[k] * tables[(k << 8) + codes[first + k]];
        target[4 * i + channel] = value > 0 ? value : 0;
      }
    }
  }

  // By z-depth from back to front: two passes over 16 bits each of the depth as a float32, whose bits sort as it does.
  function order(row, near) {
    const depths = new Float32Array(count);
    const bits = new Uint32Array(depths.buffer);
    const low = new Uint32Array(65537), high = new Uint32Array(65537);
    let seen = 0;
    for (let i = 0; i < count; i++) {
      const z = row[0] * means[3 * i] + row[1] * means[3 * i + 1] + row[2] * means[3 * i + 2] + row[3];
      if (!(z >= near)) continue;
      depths[i] = z;
      bits[i] = ~bits[i];
      low[(bits[i] & 65535) + 1]++;
      high[(bits[i] >>> 16) + 1]++;
      seen++;
    }
    for (let b = 0; b < 65536; b++) { low[b + 1] += low[b]; high[b + 1] += high[b]; }
    const half = new Uint32Array(seen), sorted = new Uint32Array(seen);
    for (let i = count - 1; i >= 0; i--) if (bits[i]) half[low[bits[i] & 65535]++] = i;
    for (let j = 0; j < seen; j++) { const i = half[j]; sorted[high[bits[i] >>> 16]++] = i; }
    return sorted;
  }

  onmessage = ({ data }) => {
    if (data.means) {
      ({ means, base, codes, tables, coefficients } = data);
      count = means.length / 3;
      return;
    }
    const start = performance.now(), sorted = order(data.row, data.near);
    const sort = performance.now() - start, { colors } = data;
    postMessage({ sorted, milliseconds: { sort, all: sort }, isLast: !colors }, [sorted.buffer]);
    if (!colors) return;
    colours(data.centre, colors); // after the order, which does not wait for them
    postMessage({ colors, milliseconds: { sort, all: performance.now() - start }, isLast: true }, [colors.buffer]);
  };
}
