// What is known of the result, as text: names in it may be anything.

/** `facts`: pairs of a name and a value, or groups of them, each with a `title`; a value may be several. */
export function showFacts(facts, place) {
  let list = null, before = null;
  const element = (parent, name, text) => {
    const made = document.createElement(name);
    made.textContent = text;
    parent.append(made);
    return made;
  };
  const showPair = ([name, value]) => {
    list ??= element(place, "dl", "");
    if (name !== before) element(list, "dt", String(name)); // as of several warnings
    before = name;
    for (const one of Array.isArray(value) ? value : [value]) element(list, "dd", String(one));
  };
  for (const fact of facts) {
    if (Array.isArray(fact)) { showPair(fact); continue; }
    element(place, "h3", String(fact.title));
    list = before = null;
    fact.facts.forEach(showPair);
    list = before = null;
  }
}
