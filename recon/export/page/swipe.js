// A photo, or its depth, over the render from where it was taken, up to a line that a person moves.
import { byId, onInput } from "recon/page.js";

export class Swipe {
  constructor(viewer) {
    this.viewer = viewer;
    onInput("swipe-what", () => this.show());
    onInput("swipe-at", () => this.place());
    viewer.on("view", () => this.show());
    viewer.on("drawn", () => this.place());
    const handle = byId("swipe-handle");
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture?.(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      const { left, width } = byId("swipe").getBoundingClientRect();
      byId("swipe-at").value = 100 * (event.clientX - left) / width;
      this.place();
    });
  }

  show() {
    const urls = this.viewer.layers.photos?.urls[this.viewer.atView];
    const source = urls?.[byId("swipe-what").value] ?? urls?.photo;
    for (const id of ["of-swipe", "swipe", "swipe-handle"]) byId(id).hidden = !source;
    const image = byId("swipe").firstElementChild;
    if (!source) image.removeAttribute("src");
    else if (image.src !== source) image.src = source;
    this.place();
  }

  place() {
    const swipe = byId("swipe");
    if (swipe.hidden) return;
    const { width: w, height: h } = this.viewer.camera.lens, [width, height] = this.viewer.size;
    const s = Math.min(width / w, height / h), at = byId("swipe-at").value;
    const left = (width - w * s) / 2, top = (height - h * s) / 2;
    Object.assign(swipe.style, { width: `${w * s}px`, height: `${h * s}px`, left: `${left}px`, top: `${top}px`,
      clipPath: `inset(0 ${100 - at}% 0 0)` });
    Object.assign(byId("swipe-handle").style, { left: `${left + w * s * at / 100}px`, top: `${top}px`, height: `${h * s}px` });
  }
}
