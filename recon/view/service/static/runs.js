// The gallery of runs, and one run.
import { megabytes } from "/dropped.js";

const byId = (id) => document.getElementById(id);
let stream = null;

export async function ask(path, method = "GET") {
  const answer = await fetch(path, { method });
  const body = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(body?.error ?? `the server says ${answer.status}`);
  return body;
}

/** Shows all runs; returns whether something goes on. */
export async function showRuns() {
  const { runs } = await ask("/v1/runs");
  byId("no-runs").hidden = runs.length > 0;
  const cards = byId("cards");
  const before = new Map([...cards.children].map((card) => [card.dataset.id, card]));
  const now = runs.map((run) => filled(before.get(run.id) ?? newCard(run.id), run));
  if (now.length !== cards.children.length || now.some((card, place) => card !== cards.children[place])) cards.replaceChildren(...now);
  return runs.some((run) => !isOver(run));
}

function newCard(id) {
  const card = document.createElement("li");
  card.className = "card";
  card.dataset.id = id;
  card.innerHTML = '<a><span class="picture" aria-hidden="true"></span><div><strong></strong><span class="state"></span> <span class="quiet"></span></div></a>';
  card.querySelector("a").href = `#${id}`;
  return card;
}

function filled(card, run) {
  const said = JSON.stringify([run.name, run.state, run.position, run.progress]);
  if (card.dataset.said === said) return card;
  card.dataset.said = said;
  card.querySelector("strong").textContent = card.querySelector("strong").title = run.name;
  const state = card.querySelector(".state");
  state.textContent = run.state;
  state.className = `state ${run.state}`;
  card.querySelector(".quiet").textContent =
    run.state === "running" ? `${run.progress.stage}, ${Math.round(100 * share(run.progress))} %` : run.state === "queued" ? waiting(run) : when(run.finished);
  if (run.picture && card.querySelector(".picture").tagName !== "IMG") {
    const picture = document.createElement("img");
    picture.className = "picture";
    picture.src = run.picture;
    picture.alt = "";
    picture.loading = "lazy";
    card.querySelector(".picture").replaceWith(picture);
  }
  return card;
}

/** Shows one run, and how it goes on. */
export async function showRun(id) {
  leaveRun();
  let run;
  try {
    run = await ask(`/v1/runs/${encodeURIComponent(id)}`);
  } catch (error) {
    byId("run-name").textContent = "No such run";
    byId("run-error").textContent = error.message;
    return;
  }
  fillAll(run);
  if (isOver(run)) return;
  stream = new EventSource(`/v1/runs/${run.id}/events`);
  stream.addEventListener("run", async (event) => {
    const now = JSON.parse(event.data);
    fillState(now);
    list("warnings", now.warnings);
    if (!isOver(now)) return;
    stream?.close();
    fillAll(await ask(`/v1/runs/${run.id}`));
  });
}

export function leaveRun() {
  stream?.close();
  stream = null;
  byId("viewer").removeAttribute("src");
  for (const id of ["viewer", "open-view", "cancel", "warnings-of-run", "files-of-run", "run-progress"]) byId(id).hidden = true;
  for (const id of ["run-name", "run-state", "run-error"]) byId(id).textContent = "";
  for (const id of ["facts", "asked", "file-list", "warnings"]) byId(id).replaceChildren();
}

function fillAll(run) {
  byId("run-name").textContent = run.name;
  document.title = `${run.name} – recon`;
  fillState(run);
  byId("cancel").onclick = () => ask(`/v1/runs/${run.id}/cancel`, "POST").then(fillState, complain);
  byId("delete").onclick = async () => {
    if (!confirm(`Delete “${run.name}” with all its files?`)) return;
    try {
      await ask(`/v1/runs/${run.id}`, "DELETE");
      location.hash = "";
    } catch (error) {
      complain(error);
    }
  };
  if (run.view && !byId("viewer").src) {
    byId("viewer").src = byId("open-view").href = run.view;
    byId("viewer").hidden = byId("open-view").hidden = false;
  }
  const { views, width, height, units, seconds, text } = run.summary;
  list("facts", views ? [`${views} ${views === 1 ? "view" : "views"} of ${width} × ${height} pixels, units ${units}, ${seconds} s`, ...text] : []);
  list("warnings", run.warnings);
  byId("files-of-run").hidden = !run.files.length;
  byId("all-files").href = `/v1/runs/${run.id}/files.zip`;
  byId("file-list").replaceChildren(
    ...run.files.map((file) => {
      const row = document.createElement("li");
      const link = document.createElement("a");
      link.href = file.url;
      link.download = "";
      link.textContent = file.path;
      const size = document.createElement("span");
      size.className = "quiet";
      size.textContent = megabytes(file.bytes);
      row.append(link, size);
      return row;
    }),
  );
  const bytes = run.inputs.reduce((sum, file) => sum + file.bytes, 0);
  const entries = { files: `${run.inputs.length}, ${megabytes(bytes)}`, ...(run.preset ? { preset: run.preset } : {}), ...run.settings };
  byId("asked").replaceChildren(
    ...Object.entries(entries).flatMap(([name, value]) => {
      const [term, said] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name.replaceAll("_", " ");
      said.textContent = Array.isArray(value) ? value.join(" ") : String(value);
      return [term, said];
    }),
  );
}

function fillState(run) {
  const told = { running: run.progress.text, queued: waiting(run), done: when(run.finished), cancelled: when(run.finished), failed: when(run.finished) };
  byId("run-state").textContent = run.cancelling ? "cancelling" : `${run.state}: ${told[run.state]}`;
  byId("run-error").textContent = run.error ?? "";
  const bar = byId("run-progress");
  bar.hidden = isOver(run);
  if (run.state === "running") bar.value = share(run.progress);
  else bar.removeAttribute("value");
  byId("cancel").hidden = isOver(run) || run.cancelling;
}

function list(id, texts) {
  const rows = texts.map((text) => Object.assign(document.createElement("li"), { textContent: text }));
  byId(id).replaceChildren(...rows);
  if (id === "warnings") byId("warnings-of-run").hidden = !texts.length;
}

function complain(error) {
  byId("run-error").textContent = error.message;
}

function isOver(run) {
  return !["queued", "running"].includes(run.state);
}

/** 0 to 1. */
function share({ done, total, stages_done, stages }) {
  return stages ? (stages_done + (total ? done / total : 0)) / stages : 0;
}

function waiting(run) {
  return run.position ? `${run.position} before it` : "next";
}

function when(time) {
  return time ? new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "";
}
