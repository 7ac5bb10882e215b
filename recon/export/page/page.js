// What parts of the page share: its elements, what it says, and files that a person saves.
export const byId = (id) => document.getElementById(id);

export const say = (text) => { byId("status").textContent = text; };

/** Use the value of a control whenever it changes. */
export function onInput(id, use) { byId(id).addEventListener("input", () => use(byId(id).value)); }

export function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
