// The crop box: six numbers along the axes of the world, as `--crop-box` takes them, and its edges in the scene.

const EDGES = [[0, 1], [0, 2], [0, 4], [1, 3], [1, 5], [2, 3], [2, 6], [3, 7], [4, 5], [4, 6], [5, 7], [6, 7]];
const SHARE = 0.01; // of the positions, on either side, that the sliders' ends may leave out
const MARGIN = 0.15; // of the width

/** [least, largest] corner of a box around nearly all of some positions, with some room. */
export function boxAround(arrays) {
  const columns = [[], [], []];
  for (const positions of arrays) {
    const every = 3 * Math.max(Math.floor(positions.length / 3 / 20000), 1);
    for (let i = 0; i + 2 < positions.length; i += every) columns.forEach((column, k) => column.push(positions[i + k]));
  }
  const low = [], high = [];
  for (const column of columns) {
    column.sort((a, b) => a - b);
    const at = (share) => column[Math.round(share * (column.length - 1))] ?? 0;
    const width = at(1 - SHARE) - at(SHARE) || 1;
    low.push(at(SHARE) - MARGIN * width);
    high.push(at(1 - SHARE) + MARGIN * width);
  }
  return { low, high };
}

/** Both ends of each of the twelve edges. */
export function edgesOf({ low, high }) {
  const corner = (i) => [0, 1, 2].map((k) => (i >> k & 1 ? high[k] : low[k]));
  return EDGES.flat().map(corner);
}

/** Decimals that tell a thousandth of the smallest side, and no exponent: an option of a program could not begin so. */
export function textOf({ low, high }) {
  const side = Math.min(...low.map((value, k) => high[k] - value));
  const decimals = Math.min(Math.max(Math.ceil(3 - Math.log10(side)), 0), 12);
  return [...low, ...high].map((value) => (Number(value.toFixed(decimals)) || 0).toLocaleString("en", {
    useGrouping: false, maximumFractionDigits: 20 })).join(" ");
}

/** The box of such a text, with or without the option's name; null where it is none. */
export function boxOf(text) {
  const words = text.replace(/^\s*--crop-box[\s=]/, "").trim().split(/[\s,]+/);
  const numbers = words.map(Number);
  const box = { low: numbers.slice(0, 3), high: numbers.slice(3) };
  const right = words.length === 6 && numbers.every(Number.isFinite) && box.low.every((value, k) => value < box.high[k]);
  return right ? box : null;
}
