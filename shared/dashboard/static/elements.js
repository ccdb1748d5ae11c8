// Everything that is shown is made here, from elements and text nodes. Text from outside (a vendor's words, a person's
// name) is never read as HTML, and stands in <bdi>, so that a name written from right to left turns nothing around it.

import { fromNow, instant, isInstant, label, number } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `properties` are attributes, but `class`, `on` (event -> function) and `key`, which names the element
 * across drawings of the same page: focus and opened details survive by it. Children: nodes, texts, or nothing.
 */
export function element(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same for a picture's parts. */
export function shape(name, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "key") {
      node.dataset.key = value;
    } else {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Text from outside. */
export const words = (text) => element("bdi", {}, String(text ?? ""));

/** An address within this page. */
export function place(parts, query = {}) {
  const path = parts.map((part) => encodeURIComponent(part)).join("/");
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== null));
  return `#/${path}${given.size ? `?${given}` : ""}`;
}

export const link = (parts, text, query = {}) => element("a", { href: place(parts, query) }, words(text));

export function button(name, listener, properties = {}) {
  return element("button", { type: "button", ...properties, on: { click: listener } }, name);
}

/** A word with a tone: `good`, `warn`, `bad` or `plain`. The word alone says it all. */
export function badge(known, fallback = "") {
  return element("span", { class: `badge ${known?.tone ?? "plain"}` }, known?.name ?? words(label(fallback)));
}

/** An instant; with `relative`, as the time from now, which `ticking` keeps right. */
export function moment(text, { relative = false } = {}) {
  if (!text) return "";
  const shown = relative ? fromNow(text) : instant(text);
  return element("time", { datetime: text, title: instant(text), "data-relative": relative }, shown);
}

/** Brings every relative instant up to date. */
export function retell() {
  for (const node of document.querySelectorAll("time[data-relative]")) {
    const text = fromNow(node.dateTime);
    if (node.textContent !== text) node.textContent = text;
  }
}

/** A list of names and values; those without a value are left out. */
export function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return element(
    "dl",
    {},
    rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
}

/** Any JSON value, for what has no fixed shape: details of a step, columns of a row. */
export function anything(value, depth = 0) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return number(value);
  if (value === "") return "none";
  if (typeof value !== "object") return isInstant(value) ? moment(value) : words(value);
  if (depth > 6) return words(JSON.stringify(value));
  if (Array.isArray(value)) {
    if (!value.length) return "none";
    if (value.every((each) => typeof each !== "object")) return words(value.join(", "));
    return element("ul", { class: "nested" }, value.map((each) => element("li", {}, anything(each, depth + 1))));
  }
  const entries = Object.entries(value);
  return entries.length ? facts(entries.map(([name, each]) => [words(label(name)), anything(each, depth + 1)])) : "none";
}

/**
 * A table, or the sentence `empty`. `columns` are `{head, cell(row), class}`; the first one names the row.
 * The roles are written out, because a phone shows each row as a card and would lose them.
 */
export function table({ caption, columns, rows, empty }) {
  if (!rows.length) return element("p", { class: "empty" }, empty);
  const head = columns.map((each) => element("th", { scope: "col", role: "columnheader" }, each.head));
  const body = rows.map((row) =>
    element(
      "tr",
      { role: "row" },
      columns.map((each, index) =>
        index === 0
          ? element("th", { scope: "row", role: "rowheader", class: each.class }, each.cell(row))
          : element("td", { role: "cell", class: each.class, "data-head": each.head }, each.cell(row)),
      ),
    ),
  );
  return element(
    "table",
    { role: "table" },
    element("caption", {}, caption),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, head)),
    element("tbody", { role: "rowgroup" }, body),
  );
}

/** A section with a heading; `id` is unique on the page. */
export function section(id, heading, ...children) {
  return element(
    "section",
    { "aria-labelledby": id },
    element("h2", { id }, heading),
    ...children,
  );
}

/** Something that is opened to be read. */
export function more(summary, key, ...children) {
  return element("details", { key }, element("summary", {}, summary), ...children);
}

/** Replaces what a node holds. Focus and opened details go over to the elements of the same key. */
export function replace(node, ...children) {
  const focused = node.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key ?? "";
  const opened = new Set([...node.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key));
  node.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  for (const each of node.querySelectorAll("details[data-key]")) each.open ||= opened.has(each.dataset.key);
  if (focused && !focused.isConnected) {
    const heir = [...node.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
    (heir ?? document.getElementById("title")).focus({ preventScroll: true });
  }
}

/** A part of a page that is drawn anew only when what it shows has changed: `{node, show(...data)}`. */
export function part(draw, properties = {}) {
  const node = element("div", properties);
  let drawn;
  return {
    node,
    show(...data) {
      const version = JSON.stringify(data);
      if (version === drawn) return;
      drawn = version;
      replace(node, draw(...data));
    },
  };
}
