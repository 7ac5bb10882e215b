// The page of the service: what is to be reconstructed, and the runs.
import { filesOfDrop, filesOfInput, megabytes } from "/dropped.js";
import { ask, leaveRun, showRun, showRuns } from "/runs.js";
import { settingsForm } from "/settings.js";

const byId = (id) => document.getElementById(id);
const MOST_THUMBNAILS = 24;
let chosen = [];
let limits = { most_files: Infinity, most_bytes: Infinity };
let settings = null;
let timer = 0;

async function start() {
  const [about, api] = await Promise.all([ask("/v1/about"), ask("/v1/openapi.json")]);
  limits = about;
  byId("version").textContent = about.version;
  byId("limits").textContent = `At most ${about.most_files} files, ${megabytes(about.most_bytes)}.`;
  showPresets(about.presets);
  const form = api.paths["/v1/runs"].post.requestBody.content["multipart/form-data"].schema;
  settings = settingsForm(byId("settings"), form.properties, countChanged);
}

function showPresets(presets) {
  const all = [{ name: "", settings: {} }, ...presets];
  byId("presets").replaceChildren(
    ...all.map((preset, place) => {
      const label = document.createElement("label");
      label.className = "preset";
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "preset", value: preset.name, checked: place === 0 });
      const about = document.createElement("span");
      about.className = "quiet";
      const values = Object.entries(preset.settings).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
      about.textContent = values.join(", ") || "what is best for most";
      label.append(input, ` ${preset.name || "usual"}`, about);
      return label;
    }),
  );
}

function countChanged() {
  const count = settings.addTo(null);
  byId("changed").textContent = count ? `(${count} changed)` : "";
}

function choose(files) {
  chosen = [...chosen, ...files];
  const bytes = chosen.reduce((sum, one) => sum + one.file.size, 0);
  const tooMuch = chosen.length > limits.most_files ? `more than ${limits.most_files} files` : bytes > limits.most_bytes ? `more than ${megabytes(limits.most_bytes)}` : "";
  byId("refused").textContent = tooMuch && `That is ${tooMuch}, which this server does not take.`;
  byId("start").disabled = !chosen.length || Boolean(tooMuch);
  byId("chosen").hidden = !chosen.length;
  byId("chosen-text").textContent = chosen.length === 1 ? `${chosen[0].path}, ${megabytes(bytes)}` : `${chosen.length} files, ${megabytes(bytes)}`;
  for (const image of byId("thumbs").children) URL.revokeObjectURL(image.src);
  const pictures = chosen.filter((one) => /^image\/(jpeg|png|webp|gif|avif)/.test(one.file.type)).slice(0, MOST_THUMBNAILS);
  byId("thumbs").hidden = !pictures.length;
  byId("thumbs").replaceChildren(
    ...pictures.map((one) => Object.assign(document.createElement("img"), { src: URL.createObjectURL(one.file), alt: one.path, loading: "lazy" })),
  );
}

function send(event) {
  event.preventDefault();
  byId("refused").textContent = "";
  const form = new FormData();
  const preset = document.querySelector("[name=preset]:checked")?.value;
  if (preset) form.append("preset", preset);
  settings?.addTo(form);
  for (const { path, file } of chosen) form.append("files", file, path);
  const request = new XMLHttpRequest();
  const sending = (on) => {
    byId("start").disabled = on || !chosen.length;
    byId("sending").hidden = byId("stop-sending").hidden = !on;
  };
  request.upload.onprogress = ({ loaded, total }) => (byId("sending").value = loaded / total);
  request.onloadend = () => {
    sending(false);
    let said = null;
    try {
      said = JSON.parse(request.responseText);
    } catch {
      // No answer, or none of the service's.
    }
    if (request.status === 201) {
      chosen = [];
      choose([]);
      location.hash = said.id;
    } else if (!stopped) {
      byId("refused").textContent = said?.error ?? "The server did not answer; is it still there?";
    }
  };
  let stopped = false;
  byId("stop-sending").onclick = () => {
    stopped = true;
    request.abort();
  };
  byId("sending").value = 0;
  sending(true);
  request.open("POST", "/v1/runs");
  request.send(form);
}

async function show() {
  clearTimeout(timer);
  const id = location.hash.slice(1);
  byId("home").hidden = Boolean(id);
  byId("run").hidden = !id;
  if (id) {
    await showRun(id);
    return;
  }
  document.title = "recon";
  leaveRun();
  const again = async () => {
    let goesOn = true;
    try {
      goesOn = await showRuns();
    } catch {
      // The server is away; it may come back.
    }
    if (!location.hash.slice(1)) timer = setTimeout(again, goesOn ? 1500 : 10000);
  };
  await again();
}

for (const id of ["files", "folder"]) {
  byId(id).addEventListener("change", (event) => {
    choose(filesOfInput(event.target));
    event.target.value = "";
  });
}
const drop = byId("drop");
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  location.hash = "";
  choose(await filesOfDrop(event.dataTransfer));
});
byId("clear").addEventListener("click", () => {
  chosen = [];
  choose([]);
});
byId("search").addEventListener("input", (event) => settings?.find(event.target.value));
byId("ask").addEventListener("submit", send);
addEventListener("hashchange", show);
start().catch((error) => (byId("refused").textContent = error.message));
show();
