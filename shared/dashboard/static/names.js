// Rows know people by their ids only. Their names are asked for when somebody wants to read them, a few at a time, and
// kept as long as the page is open.

import { at, read } from "./api.js";
import { button, element, place, words } from "./elements.js";
import { announce, complain } from "./stage.js";
import { count } from "./words.js";

const AT_ONCE = 4;
const MOST = 100;
const names = new Map();

/** What somebody is called, as far as the directory says. */
export const nameOf = ({ properties = {}, id }) =>
  properties.displayName || properties.userPrincipalName || properties.mail || id;

/** A link to a person, or a group: by name, if it was asked for, and by id. */
export function personLink(id) {
  const href = place(["people", id]);
  const name = names.get(id);
  return name ? [element("a", { href }, words(name)), element("span", { class: "id hint" }, words(id))] : element("a", { href, class: "id" }, words(id));
}

/** Forgets who was shown, with the keys of whoever saw it. */
export const forgetNames = () => names.clear();

/** A button that learns the names of these ids, and calls `redraw`. Nothing, if they are all known. */
export function namesButton(stage, ids, redraw, key) {
  const unknown = ids.filter((id) => !names.has(id)).slice(0, MOST);
  return unknown.length ? button("Show names", () => learn(stage, unknown, redraw), { key }) : null;
}

async function learn(stage, ids, redraw) {
  announce("Asking for the names …");
  const left = [...ids];
  const ask = async () => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) {
      try {
        names.set(id, nameOf(await read(at("people", id), {}, stage.signal)));
      } catch (error) {
        // Nobody knows this one any more: the id is all there is.
        if (error.status !== 404) throw error;
        names.set(id, "");
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
    announce(`${count(ids.length, "name")} shown.`);
  } catch (error) {
    announce("");
    if (!stage.isSignedOutBy(error)) complain(error.message);
  }
  redraw();
}
