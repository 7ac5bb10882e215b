// The form of all settings, made from the service's own description of them.

const APART = new Set(["files", "name", "preset", "settings"]);

/** Fills `place` with a field for each setting; returns what reads them. */
export function settingsForm(place, properties, changed) {
  const fields = [];
  const groups = new Map();
  for (const [name, schema] of Object.entries(properties)) {
    if (APART.has(name)) continue;
    const own = schema["x-group"] ? schema : schema.anyOf.find((one) => one["x-group"]);
    const takesFiles = [schema, ...(schema.anyOf ?? [])].some((one) => one.items?.format === "binary");
    const group = own["x-group"] || "Other";
    if (!groups.has(group)) groups.set(group, section(place, group));
    const row = document.createElement("div");
    row.className = "setting";
    const label = document.createElement("label");
    label.htmlFor = `setting-${name}`;
    label.textContent = name.replaceAll("_", " ");
    const input = control(own, takesFiles);
    input.id = label.htmlFor;
    input.name = name;
    input.setAttribute("aria-describedby", `help-${name}`);
    input.addEventListener("change", changed);
    const help = document.createElement("span");
    help.className = "quiet";
    help.id = `help-${name}`;
    help.textContent = own.description;
    row.append(label, input);
    if (own.examples) row.append(suggestions(input, own.examples));
    const word = takesFiles && own !== schema ? wordInput(name, changed) : null;
    if (word) row.append(word);
    row.append(help);
    groups.get(group).append(row);
    fields.push({ name, row, input, word, text: `${name} ${own.description}`.toLowerCase().replaceAll("_", " ") });
  }
  return {
    /** Adds what was set to a form, and returns how much that is. */
    addTo(form) {
      let count = 0;
      for (const { name, input, word } of fields) {
        if (input.type === "file" && input.files.length) {
          for (const file of input.files) form?.append(name, file, file.webkitRelativePath || file.name);
          count += 1;
        } else if (input.type !== "file" && input.value !== "") {
          form?.append(name, input.value);
          count += 1;
        } else if (word?.value) {
          form?.append(name, word.value);
          count += 1;
        }
      }
      return count;
    },
    /** Shows those alone that `words` are in. */
    find(words) {
      const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
      for (const { row, text } of fields) row.hidden = !wanted.every((word) => text.includes(word));
      for (const group of groups.values()) group.hidden = ![...group.querySelectorAll(".setting")].some((row) => !row.hidden);
    },
    clear() {
      for (const { input, word } of fields) {
        input.value = "";
        if (word) word.value = "";
      }
    },
  };
}

function section(place, title) {
  const found = document.createElement("div");
  found.className = "group";
  const head = document.createElement("h3");
  head.textContent = title;
  found.append(head);
  place.append(found);
  return found;
}

/** Empty stands for the default. */
function control(schema, takesFiles) {
  const kinds = schema.anyOf ?? [schema];
  if (takesFiles) {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    return input;
  }
  const choices = schema.enum ?? kinds.find((kind) => kind.enum)?.enum;
  const isBoolean = kinds.some((kind) => kind.type === "boolean");
  const initial = schema.default ?? null;
  if ((choices && kinds.every((kind) => kind.enum || kind.type === "null" || schema.enum)) || isBoolean) {
    const select = document.createElement("select");
    const shown = typeof initial === "boolean" ? (initial ? "yes" : "no") : initial;
    select.add(new Option(shown === null ? "as usual" : `${shown} (as usual)`, ""));
    for (const choice of choices ?? [true, false]) {
      if (choice !== initial) select.add(new Option(choice === true ? "yes" : choice === false ? "no" : choice, String(choice)));
    }
    return select;
  }
  const input = document.createElement("input");
  const number = kinds.length === 1 || (kinds.length === 2 && kinds[1].type === "null") ? kinds[0] : {};
  input.type = "text";
  if (number.type === "integer" || number.type === "number") {
    input.type = "number";
    input.step = number.type === "integer" ? "1" : "any";
    if (number.minimum !== undefined) input.min = number.minimum;
    if (number.maximum !== undefined) input.max = number.maximum;
  }
  input.placeholder = initial === null || initial?.length === 0 ? "" : String(initial);
  return input;
}

/** What else could be written there, for the browser to offer. */
function suggestions(input, examples) {
  const list = document.createElement("datalist");
  list.id = `${input.id}-list`;
  input.setAttribute("list", list.id);
  list.append(...examples.map((example) => new Option(example, example)));
  return list;
}

/** Beside files: an option may be a word or numbers, too. */
function wordInput(name, changed) {
  const input = document.createElement("input");
  input.setAttribute("aria-label", `${name.replaceAll("_", " ")}, as text`);
  input.placeholder = "or as text";
  input.addEventListener("change", changed);
  return input;
}
