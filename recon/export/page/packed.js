// The data of the page: the numbers in its blocks.
import { takeBytes } from "recon/stream.js";

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The integers of a quantised array: {codes: one Uint8Array, Uint16Array or Uint32Array per column}. */
export async function readCodes(packed) {
  const bytes = await inflate(await takeBytes(packed.block));
  const { count, bits } = packed;
  const columns = packed.low.length;
  const Type = bits === 8 ? Uint8Array : bits === 16 ? Uint16Array : Uint32Array;
  const codes = [];
  for (let column = 0; column < columns; column++) {
    const values = new Type(count);
    for (let plane = 0; plane < bits / 8; plane++) {
      const start = (plane * columns + column) * count;
      const shift = 8 * plane;
      for (let i = 0; i < count; i++) values[i] |= bytes[start + i] << shift;
    }
    codes.push(values);
  }
  return codes;
}

/** The numbers of a quantised array, (count, columns) row by row. */
export async function readNumbers(packed) {
  const codes = await readCodes(packed);
  const columns = codes.length;
  const numbers = new Float32Array(packed.count * columns);
  const top = 2 ** packed.bits - 1;
  for (let column = 0; column < columns; column++) {
    const low = packed.low[column];
    const step = (packed.high[column] - low) / top;
    const values = codes[column];
    for (let i = 0; i < packed.count; i++) numbers[i * columns + column] = low + values[i] * step;
  }
  return numbers;
}
