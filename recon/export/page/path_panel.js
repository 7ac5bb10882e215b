// The controls of the camera path: its key views, playing, and the file.
import { CameraPath, readPath, writePath } from "recon/camera_path.js";
import { byId, saveFile, sayBriefly } from "recon/page.js";

const FRAMES_PER_SECOND = 24; // as the format gs_video has it
const MOST_KEYS = 40;
const COLOR = [0.95, 0.25, 0.5];

export class PathPanel {
  constructor(viewer) {
    this.viewer = viewer;
    this.path = new CameraPath(viewer.scene.up);
    this.player = null;
    const click = (id, use) => byId(id).addEventListener("click", use);
    click("path-add", () => this.add());
    click("path-play", () => this.toggle());
    click("path-save", () => saveFile(new Blob([this.text()], { type: "application/json" }), "render-cameras.json"));
    click("path-load", () => byId("path-file").click());
    byId("path-file").addEventListener("change", () => this.load());
    byId("path-at").addEventListener("input", () => this.standAt(byId("path-at").value / 1000));
    byId("path-closed").addEventListener("change", () => { this.path.closed = byId("path-closed").checked; this.update(); });
    const [first] = viewer.scene.views;
    const own = first ? first.size.map((side) => side & ~1) : [1280, 960]; // videos have even sides
    byId("path-size").prepend(new Option(`${own.join(" × ")}, as the photos`, own.join(" "), true, true));
    viewer.on("view", () => this.showPlaying());
    viewer.on("drawn", () => this.showPlaying());
    this.update();
  }

  get seconds() { return Math.max(0.1, Math.min(600, Number(byId("path-seconds").value) || 1)); }

  text() {
    const [width, height] = byId("path-size").value.split(" ").map(Number);
    return writePath(this.path, Math.max(Math.round(this.seconds * FRAMES_PER_SECOND), 1), width, height);
  }

  add() {
    if (this.path.keys.length >= MOST_KEYS) return sayBriefly(`A path has at most ${MOST_KEYS} views.`);
    this.path.keys.push(this.viewer.camera.copy());
    this.update();
    sayBriefly(`View ${this.path.keys.length} of the path is where you are.`);
  }

  async load() {
    const file = byId("path-file").files[0];
    if (!file) return;
    try {
      const { keys, closed } = readPath(await file.text(), this.viewer.camera, MOST_KEYS);
      this.path.keys = keys;
      this.path.closed = byId("path-closed").checked = closed;
      sayBriefly(`${keys.length} views from ${file.name}`);
    } catch (error) {
      sayBriefly(`${file.name} cannot be used: ${error.message}.`);
    }
    byId("path-file").value = "";
    this.update();
  }

  // --- playing ---

  toggle() {
    if (this.player && this.viewer.motion === this.player) return this.viewer.move(() => {});
    const duration = 1000 * this.seconds;
    let at = Number(byId("path-at").value) / 1000;
    if (at >= 1) at = 0;
    let before = null;
    this.viewer.leave();
    this.player = this.viewer.motion = (now) => {
      at += before === null ? 0 : (now - before) / duration;
      before = now;
      if (this.path.closed) at %= 1;
      byId("path-at").value = 1000 * Math.min(at, 1);
      Object.assign(this.viewer.camera, this.path.at(at));
      return at < 1;
    };
    this.viewer.redraw();
  }

  standAt(share) {
    if (this.path.keys.length) this.viewer.move((camera) => Object.assign(camera, this.path.at(share)));
  }

  showPlaying() {
    const text = this.player && this.viewer.motion === this.player ? "Pause" : "Play";
    if (byId("path-play").textContent !== text) byId("path-play").textContent = text;
  }

  // --- the list of views ---

  update() {
    const { keys } = this.path;
    byId("path-views").replaceChildren(...keys.map((_, i) => this.item(i)));
    for (const id of ["path-play", "path-at"]) byId(id).disabled = keys.length < 2;
    byId("path-save").disabled = !keys.length;
    this.drawLines();
    this.viewer.redraw();
  }

  item(i) {
    const { keys } = this.path, item = document.createElement("li");
    const button = (text, label, use, enabled = true) => {
      const one = document.createElement("button");
      Object.assign(one, { type: "button", textContent: text, ariaLabel: label, title: label, disabled: !enabled });
      one.addEventListener("click", use);
      item.append(one);
    };
    const swap = (j) => { [keys[i], keys[j]] = [keys[j], keys[i]]; this.update(); this.focus(j); };
    button(`View ${i + 1}`, `Go to view ${i + 1}`, () => this.viewer.flyToCamera(keys[i].copy()));
    button("↑", `Move view ${i + 1} up`, () => swap(i - 1), i > 0);
    button("↓", `Move view ${i + 1} down`, () => swap(i + 1), i < keys.length - 1);
    button("✕", `Remove view ${i + 1}`, () => { keys.splice(i, 1); this.update(); this.focus(Math.min(i, keys.length - 1)); });
    return item;
  }

  /** Buttons are made anew: the keyboard goes on from the view that it was at. */
  focus(i) { (byId("path-views").children[i]?.firstElementChild ?? byId("path-add")).focus(); }

  drawLines() {
    const { keys } = this.path, points = [];
    const steps = keys.length > 1 ? 24 * keys.length : 0;
    for (let i = 0; i < steps; i++) points.push(this.path.at(i / steps).centre, this.path.at((i + 1) / steps).centre);
    this.viewer.lines.set("path", points, COLOR);
  }
}
