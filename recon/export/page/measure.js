// A point that is clicked: its coordinates, confidence and the views that see it; and the distance between two.
import { byId, sayBriefly } from "recon/page.js";
import { length, sub } from "recon/vectors.js";
import { Visibility } from "recon/visibility.js";

const ORDER = ["points", "sparse", "mesh", "splats"]; // what is clicked, where several lie at about the same depth
const SAME = 0.98;

export class Measure {
  constructor(viewer) {
    this.viewer = viewer;
    this.picked = [];
    this.visibility = new Visibility(viewer.scene.views);
    viewer.on("drawn", () => this.placeMarks());
    byId("point-close").addEventListener("click", () => this.clear());
  }

  /** What a click on a pixel of the canvas is for: a photo is flown to, a point is measured. */
  click(x, y) {
    const { viewer } = this, { camera, layers } = viewer, [width, height] = viewer.size;
    const found = this.find(x, y);
    const ray = camera.ray(x, y, width, height);
    const photo = viewer.shown.photos && viewer.atView < 0 ? layers.photos.hit(camera.centre, ray) : null;
    if (photo && !(found && found.depth < photo.depth)) {
      viewer.flyTo(photo.view);
      return;
    }
    if (found) this.take(found);
  }

  /** {point, depth, layer, index} of what is shown at a pixel, or null. */
  find(x, y) {
    const { camera, layers, shown, crop, size: [width, height] } = this.viewer;
    const isInside = (...point) => !crop || point.every((value, k) => value >= crop.low[k] && value <= crop.high[k]);
    let found = null;
    for (const name of ORDER) {
      const one = shown[name] ? layers[name].pick({ camera, x, y, width, height, isInside }) : null;
      if (one && (!found || one.depth < SAME * found.depth)) found = { ...one, layer: name };
    }
    return found;
  }

  async take({ point, layer, index }) {
    const { scene, layers } = this.viewer;
    if (this.picked.length === 2) this.picked = [];
    this.picked.push(point);
    const known = layers[layer].describe?.(index) ?? {};
    const said = [`x, y, z: ${point.map((value) => value.toPrecision(5)).join(", ")}`];
    if (known.confidence != null) said.push(`confidence ${known.confidence.toPrecision(3)}`);
    if (this.picked.length === 2) {
      const distance = length(sub(...this.picked)).toPrecision(4);
      said.push(`distance from the one before: ${distance} ${scene.unit}`);
      sayBriefly(`Distance: ${distance} ${scene.unit}`);
    }
    const latest = (this.latest = {});
    this.viewer.redraw();
    this.show(said, null);
    const views = known.seenBy ?? (await this.visibility.seeing(point));
    if (latest !== this.latest) return; // another point was clicked meanwhile
    if (views && known.from !== undefined && !views.includes(known.from)) views.unshift(known.from);
    this.highlight(views ?? (known.from === undefined ? [] : [known.from]));
    this.show(said, views, known.from);
  }

  show(said, views, from) {
    const { scene } = this.viewer;
    byId("point").hidden = false;
    byId("point-said").textContent = said.join("\n");
    byId("point-seen").textContent = views ? `Seen by ${views.length} of ${scene.views.length} photos:` : "";
    byId("point-views").replaceChildren(...(views ?? []).map((view) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      button.textContent = scene.views[view].name + (view === from ? " (the point's own)" : "");
      button.addEventListener("click", () => this.viewer.flyTo(view));
      item.append(button);
      return item;
    }));
  }

  highlight(views) {
    const { photos } = this.viewer.layers;
    if (photos) photos.highlighted = new Set(views);
    this.viewer.redraw();
  }

  clear() {
    this.picked = [];
    this.latest = null;
    byId("point").hidden = true;
    this.highlight([]);
  }

  placeMarks() {
    const { camera, size } = this.viewer;
    const [line, ...circles] = byId("marks").children;
    const places = this.picked.map((point) => camera.project(point, ...size));
    circles.forEach((circle, i) => {
      const place = places[i];
      circle.style.visibility = place && place[2] > 0 ? "visible" : "hidden";
      if (place) { circle.setAttribute("cx", place[0]); circle.setAttribute("cy", place[1]); }
    });
    const both = places.length === 2 && places.every((place) => place[2] > 0);
    line.style.visibility = both ? "visible" : "hidden";
    if (both) ["x1", "y1", "x2", "y2"].forEach((name, i) => line.setAttribute(name, places[i >> 1][i & 1]));
  }
}
