// The controls of the crop box.
import { boxAround, boxOf, edgesOf, textOf } from "recon/crop_box.js";
import { byId, sayBriefly } from "recon/page.js";

const STEPS = 1000;
const COLOR = [1, 0.6, 0];
const SIDES = [["low", 0], ["high", 0], ["low", 1], ["high", 1], ["low", 2], ["high", 2]];

export class CropPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.around = null; // the sliders' ends; found when the box is first asked for
    this.box = null;
    byId("crop").addEventListener("change", () => this.turn(byId("crop").checked));
    SIDES.forEach(([end, k], i) => byId(`crop-${end}-${"xyz"[k]}`).addEventListener("input", () => this.slide(i)));
    byId("crop-text").addEventListener("change", () => this.take(byId("crop-text").value));
    byId("crop-copy").addEventListener("click", () => this.copy());
    byId("crop-reset").addEventListener("click", () => this.set(this.whole()));
  }

  whole() {
    const { layers } = this.viewer;
    const arrays = Object.values(layers).map((layer) => layer.positions ?? layer.means).filter(Boolean);
    return (this.around ??= boxAround(arrays));
  }

  turn(on) {
    byId("crop").checked = on;
    byId("of-crop").hidden = !on;
    if (on) return this.set(this.box ?? this.whole());
    this.viewer.crop = null;
    this.viewer.lines.set("crop", [], COLOR);
    this.viewer.redraw();
  }

  set(box) {
    const { low, high } = this.whole();
    this.box = { low: [...box.low], high: [...box.high] };
    for (const [end, k] of SIDES) {
      byId(`crop-${end}-${"xyz"[k]}`).value = STEPS * (box[end][k] - low[k]) / (high[k] - low[k]);
    }
    this.show();
  }

  /** A slider was moved; the other end makes way. */
  slide(i) {
    const [end, k] = SIDES[i], { low, high } = this.whole(), step = (high[k] - low[k]) / STEPS;
    const value = low[k] + step * byId(`crop-${end}-${"xyz"[k]}`).value;
    this.box[end][k] = value;
    if (end === "low" && this.box.high[k] <= value) this.box.high[k] = value + step;
    if (end === "high" && this.box.low[k] >= value) this.box.low[k] = value - step;
    this.set(this.box);
  }

  take(text) {
    const box = boxOf(text);
    byId("crop-text").setAttribute("aria-invalid", String(!box));
    if (!box) return sayBriefly("A crop box is six numbers: the least x, y and z, then larger ones.");
    this.set(box);
  }

  show() {
    byId("crop-text").value = textOf(this.box);
    byId("crop-text").removeAttribute("aria-invalid");
    this.viewer.crop = boxOf(byId("crop-text").value); // what is seen is what is copied
    this.viewer.lines.set("crop", edgesOf(this.viewer.crop), COLOR);
    this.viewer.redraw();
  }

  async copy() {
    const text = `--crop-box ${byId("crop-text").value}`;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // pages from a disk may have no clipboard
      byId("crop-text").select();
      document.execCommand("copy");
    }
    sayBriefly(`Copied: ${text}`);
  }
}
