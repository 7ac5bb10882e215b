// What parts of the page share: its elements, what it says, and files that a person saves.
export const byId = (id) => document.getElementById(id);

const BRIEFLY = 8000; // milliseconds
let forgetting = null;

/** Say something that holds until something else is said; or for a while only, what has just happened. */
export function say(text) {
  clearTimeout(forgetting);
  byId("status").textContent = text;
}

export function sayBriefly(text) {
  say(text);
  forgetting = setTimeout(() => say(""), BRIEFLY);
}

/** Use the value of a control whenever it changes. */
export function onInput(id, use) { byId(id).addEventListener("input", () => use(byId(id).value)); }

export function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
