// The accounts of one application, by state.

import { at, read } from "./api.js";
import { badge, button, element, link, moment, part, place, table, words } from "./elements.js";
import { personLink } from "./names.js";
import { announce } from "./stage.js";
import { count, number, STATES } from "./words.js";

const AT_ONCE = 100;

export async function showAccounts(stage, { parts: [, app], query }) {
  const state = query.get("state") ?? "";
  stage.title(`Accounts of ${app}`);
  const list = pagedPart(stage, {
    ask: (cursor) => read(at("applications", app, "accounts"), { state, limit: AT_ONCE, cursor }, stage.signal),
    draw: (rows) => drawAccounts(app, state, rows),
  });
  stage.put(
    element("p", {}, link(["applications", app], `Back to ${app}`)),
    element("nav", { "aria-label": "States" }, element("ul", { class: "choices" }, choice(app, "", "All", state), Object.keys(STATES).map((each) => choice(app, each, STATES[each].name, state)))),
    list.node,
  );
  await list.start();
}

const choice = (app, state, name, chosen) =>
  element("li", {}, element("a", { href: place(["applications", app, "accounts"], { state }), "aria-current": state === chosen ? "page" : null }, name));

const drawAccounts = (app, state, rows) =>
  table({
    caption: state ? `Accounts of ${app} in the state ${STATES[state]?.name ?? state}` : `All accounts of ${app}`,
    rows,
    empty: "There is no such account.",
    columns: [
      { head: "Who", cell: (each) => personLink(each.source_id) },
      { head: "Kind", cell: (each) => (each.kind === "group" ? "group" : "person") },
      { head: "State", cell: (each) => [badge(STATES[each.state], each.state), each.pending && each.state !== "pending" ? " something is left to do" : ""] },
      { head: "Account at the vendor", cell: (each) => words(each.target_id), class: "id" },
      { head: "Error", cell: (each) => (each.error_code ? element("code", {}, words(each.error_code)) : "") },
      { head: "Next try", cell: (each) => moment(each.next_attempt_at, { relative: true }) },
    ],
  });

/** A list that is read page by page: `{node, start()}`. `ask(cursor)` reads a page, `draw(rows)` shows all so far. */
export function pagedPart(stage, { ask, draw }) {
  let rows = [];
  let next = null;
  // One request searches a bounded part of what is stored: it may find nothing, and yet there may be more.
  const drawn = part((shown, more) => [
    shown.length || !more ? draw(shown) : element("p", { class: "empty" }, "Nothing in the part that was searched so far."),
    more ? element("p", {}, `${count(shown.length, "line")} shown. `, button("Show more", () => load(next), { key: "more" })) : null,
  ]);

  async function load(cursor) {
    try {
      const page = await ask(cursor);
      const before = rows.length;
      rows = rows.concat(page.items);
      next = page.next;
      drawn.show(rows, next);
      if (cursor) announce(`${number(rows.length - before)} more${next ? "" : "; these are all"}.`);
    } catch (error) {
      if (!cursor) throw error;
      if (!stage.isSignedOutBy(error)) announce(error.message);
    }
  }

  return { node: drawn.node, start: () => load(null) };
}
