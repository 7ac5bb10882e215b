// Where the data come from: blocks of text in the page itself, or pieces that the server of the page sends.

/** The bytes of a block, as they were written. */
function textToBytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const addressOf = (name) => `data/${name}`;

/** The bytes of the block of that name; where it is in the page, its text is let go of. */
export async function takeBytes(name) {
  const element = document.getElementById(name);
  if (element) {
    const bytes = textToBytes(element.textContent.trim());
    element.remove();
    return bytes;
  }
  const answer = await fetch(addressOf(name));
  if (!answer.ok) throw new Error(`the server has no ${name} (${answer.status})`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Address of the picture of that name. */
export function pictureUrl(name) {
  const element = document.getElementById(name);
  if (!element) return addressOf(name);
  const bytes = textToBytes(element.textContent.trim());
  element.remove();
  return URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
}

/** Arrays of one type, one after the other. */
export function joined(arrays) {
  if (arrays.length === 1) return arrays[0];
  const all = new arrays[0].constructor(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) { all.set(array, at); at += array.length; }
  return all;
}
