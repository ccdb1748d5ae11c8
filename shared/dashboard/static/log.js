// The provisioning log: one line for every attempt, newest first.

import { download, read } from "./api.js";
import { pagedPart } from "./accounts.js";
import { drawSteps } from "./application.js";
import { badge, button, element, facts, link, moment, more, place, table, words } from "./elements.js";
import { personLink } from "./names.js";
import { announce, complain } from "./stage.js";
import { RESULTS } from "./words.js";

const AT_ONCE = 50;
const ACTIONS = ["create", "update", "disable", "delete", "stageddelete", "other"];
const FILTERS = ["application", "source_id", "action", "status", "code", "since", "until"];

export async function showLog(stage, { query }) {
  stage.title("Log");
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const names = (await read("applications", {}, stage.signal)).map((each) => each.name);
  const list = pagedPart(stage, {
    ask: (cursor) => read("log", { ...asked(wanted), limit: AT_ONCE, cursor }, stage.signal),
    draw: (lines) => drawLines("Attempts, newest first", lines, "Nothing in the log is like that."),
  });
  stage.put(drawFilters(wanted, names), drawExports(stage, wanted), list.node);
  await list.start();
}

/** Local times, as the fields hold them, as the instants that the API reads. */
const asked = (wanted) => ({ ...wanted, since: toInstant(wanted.since), until: toInstant(wanted.until) });

function toInstant(local) {
  const at = new Date(local);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

function drawFilters(wanted, names) {
  const select = (name, text, values) =>
    field(name, text, element("select", { id: `log-${name}`, name }, element("option", { value: "" }, "any"), values.map((each) => element("option", { value: each, selected: each === wanted[name] }, each))));
  const input = (name, text, properties = {}) =>
    field(name, text, element("input", { id: `log-${name}`, name, type: "text", value: wanted[name], autocomplete: "off", ...properties }));
  const search = (event) => {
    event.preventDefault();
    const chosen = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]));
    const target = place(["log"], chosen);
    if (target === location.hash) dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = target;
  };
  return element(
    "form",
    { class: "filters", role: "search", "aria-label": "Log", on: { submit: search } },
    select("application", "Application", names),
    input("source_id", "Person or group (directory id)"),
    select("action", "Action", ACTIONS),
    select("status", "Status", Object.keys(RESULTS)),
    input("code", "Error code"),
    input("since", "From", { type: "datetime-local" }),
    input("until", "Until", { type: "datetime-local" }),
    element("p", { class: "actions" }, element("button", { type: "submit", class: "primary" }, "Search")),
  );
}

const field = (name, text, input) => element("p", {}, element("label", { for: `log-${name}` }, text), input);

function drawExports(stage, wanted) {
  const save = (format, ending) => async () => {
    announce("The file is being made …");
    try {
      const { file, isCut } = await download("log/export", { ...asked(wanted), format });
      const address = URL.createObjectURL(file);
      element("a", { href: address, download: `provisioning-log.${ending}` }).click();
      // The browser has begun to save by then; the copy in memory is of no more use.
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
      announce(isCut ? "The file is saved, and holds the newest part only: choose a shorter time for the rest." : "The file is saved with your downloads.");
    } catch (error) {
      announce("");
      if (!stage.isSignedOutBy(error)) complain(error.message);
    }
  };
  return element(
    "p",
    { class: "actions" },
    button("Save as CSV", save("csv", "zip"), { key: "csv" }),
    button("Save as JSON", save("json", "json"), { key: "json" }),
  );
}

/** Lines of the log as a table; `ofOne`: they are all of one person. */
export const drawLines = (caption, lines, empty, { ofOne = false } = {}) =>
  table({
    caption,
    rows: lines,
    empty,
    columns: [
      { head: "When", cell: (line) => moment(line.at) },
      { head: "Application", cell: (line) => link(["applications", line.application], line.application) },
      ...(ofOne ? [] : [{ head: "Who", cell: (line) => personLink(line.source_id) }]),
      { head: "Action", cell: (line) => words(line.action) },
      { head: "Status", cell: (line) => badge(RESULTS[line.status], line.status) },
      { head: "Why", cell: drawWhy },
    ],
  });

function drawWhy(line) {
  const { error, error_code: code, remedy } = line;
  return [
    line.reason === code ? null : words(line.reason),
    code ? element("p", { class: "said" }, element("code", {}, words(code)), " ", words(error)) : null,
    remedy ? element("p", {}, words(remedy)) : null,
    more(
      "Details",
      `line ${line.application} ${line.id ?? line.trace}`,
      drawModified(line.modified),
      drawSteps(line.steps),
      facts([
        ["Account at the vendor", words(line.target_id)],
        ["Attempt", `${line.attempt}, ${line.duration_ms} ms`],
        ["Trace", words(line.trace)],
      ]),
    ),
  ];
}

const drawModified = (modified) =>
  modified.length
    ? table({
        caption: "What was changed",
        rows: modified,
        empty: "",
        columns: [
          { head: "Attribute", cell: (each) => words(each.displayName) },
          { head: "Before", cell: (each) => drawValue(each.oldValue) },
          { head: "After", cell: (each) => drawValue(each.newValue) },
        ],
      })
    : null;

const drawValue = (value) => (value === null || value === undefined ? "" : words(typeof value === "string" ? value : JSON.stringify(value)));
