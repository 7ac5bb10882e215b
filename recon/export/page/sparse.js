// Sparse points: of structure from motion or a COLMAP model, each with the views that see it.
import { readCodes, readNumbers } from "recon/packed.js";
import { Points } from "recon/points.js";

export class SparsePoints extends Points {
  static async read(gl, packed, scene) {
    const { position, color, length, view } = packed.blocks;
    const [positions, colors, [lengths], [views]] = await Promise.all([
      readNumbers(position), readCodes(color), readCodes(length), readCodes(view),
    ]);
    return new SparsePoints(gl, scene, { positions, colors }, lengths, views);
  }

  /** `lengths`: how many of `views`, one point after another, see each point. */
  constructor(gl, scene, arrays, lengths, views) {
    super(gl, scene, arrays);
    this.pointSize = 4;
    this.starts = new Uint32Array(lengths.length + 1);
    lengths.forEach((count, i) => { this.starts[i + 1] = this.starts[i] + count; });
    this.seen = views;
  }

  describe(i) {
    return { seenBy: [...this.seen.subarray(this.starts[i], this.starts[i + 1])] };
  }
}
