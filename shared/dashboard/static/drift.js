// What a verification found at a vendor: accounts that differ from what was sent, and accounts that nobody owns.

import { act, at, read } from "./api.js";
import { pagedPart } from "./accounts.js";
import { badge, button, element, facts, link, moment, part, table, words } from "./elements.js";
import { personLink } from "./names.js";
import { ask } from "./questions.js";
import { label, number } from "./words.js";

const TONES = { reported: "warn", systematic: "warn", suspected: "plain", repairing: "plain", repaired: "good" };
const MODES = { off: "off: nobody looks by itself", report: "report: what differs is told", repair: "repair: what differs is written again" };

/** Drift of one application: `{node, load()}`. */
export function driftPart(stage, app) {
  const drawn = part((report) => [
    facts([
      ["Mode", MODES[report.mode] ?? words(report.mode)],
      ["Round", words(label(report.phase))],
      ["Begun", moment(report.started_at)],
      ["Finished", moment(report.finished_at)],
      ["Accounts compared", number(report.compared)],
      ["Accounts nobody owns", report.unowned ? link(["applications", app, "unowned"], number(report.unowned)) : "none"],
      ["Problem", words(report.problem)],
    ].map(([name, value]) => [name, name === "Problem" && !report.problem ? "" : value])),
    element("p", { class: "actions" }, button("Verify now …", verify, { key: `${app} verify` })),
    table({
      caption: "Accounts that differ from what was sent",
      rows: report.accounts,
      empty: "No account is known to differ.",
      columns: [
        { head: "Who", cell: (each) => personLink(each.source_id) },
        { head: "Status", cell: (each) => badge({ name: label(each.status), tone: TONES[each.status] ?? "plain" }) },
        { head: "What differs", cell: (each) => (each.gone ? "the vendor has the account no more" : drawPaths(each.paths)) },
        { head: "Found", cell: (each) => moment(each.found_at, { relative: true }) },
      ],
    }),
    report.next && element("p", {}, `These are the first ${number(report.accounts.length)}; drift list on the command line shows all.`),
  ]);

  async function verify() {
    const done = await ask({
      title: `Verify ${app} now?`,
      text: ["The vendor's accounts are listed at a fifth of its rate, and compared with what was sent. It begins with the next housekeeping."],
      yes: "Verify",
      act: () => act(at("applications", app, "drift", "verify")),
      told: () => `A verification of ${app} begins with the next housekeeping.`,
      onKeyRefused: stage.onKeyRefused,
    });
    if (done) stage.refresh();
  }

  return { node: drawn.node, load: async () => drawn.show(await read(at("applications", app, "drift"), { limit: 1000 }, stage.signal)) };
}

const drawPaths = (paths) =>
  element(
    "ul",
    { class: "nested" },
    Object.entries(paths).map(([path, [sent, held]]) =>
      element("li", {}, element("code", {}, words(path)), ": sent ", words(sent), ", the vendor holds ", words(held)),
    ),
  );

/** The page of accounts at a vendor that no row owns. */
export async function showUnowned(stage, { parts: [, app] }) {
  stage.title(`Accounts at ${app} that nobody owns`);
  const list = pagedPart(stage, {
    ask: (cursor) => read(at("applications", app, "unowned"), { limit: 100, cursor }, stage.signal),
    draw: (rows) =>
      table({
        caption: "Found by the last verification; they are never touched",
        rows,
        empty: "Every account at the vendor is somebody's.",
        columns: [
          { head: "Account", cell: (each) => words(each.name || each.target_id) },
          { head: "Kind", cell: (each) => (each.kind === "group" ? "group" : "person") },
          { head: "Whose", cell: (each) => [words(label(each.ownership)), each.source_id ? [": ", personLink(each.source_id)] : null] },
          { head: "Active", cell: (each) => (each.is_active === null ? "not told" : each.is_active ? "yes" : "no") },
          { head: "externalId", cell: (each) => words(each.external_id), class: "id" },
          { head: "Vendor's id", cell: (each) => words(each.target_id), class: "id" },
        ],
      }),
  });
  stage.put(element("p", {}, link(["applications", app], `Back to ${app}`)), list.node);
  await list.start();
}
