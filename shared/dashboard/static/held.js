// What the deletion guard holds, and a person's answer to it. The answer names the list that was shown: who was added
// since is not part of it.

import { act, at, read } from "./api.js";
import { badge, button, element, link, moment, part, section, table, words } from "./elements.js";
import { namesButton, personLink } from "./names.js";
import { ask } from "./questions.js";
import { count, number, STATES } from "./words.js";

/** From this many on a person types how many it is. */
const MANY = 20;
const SHOWN = 100;

/** Who loses what: `{people, memberships, total, sentence}`. */
function weigh(accounts) {
  const people = accounts.filter((each) => each.kind !== "group").length;
  const groups = accounts.length - people;
  const memberships = accounts.reduce((total, each) => total + (each.members ?? 0), 0);
  const parts = [
    people ? count(people, "person loses", "people lose") + " access" : "",
    groups ? `${count(groups, "group loses", "groups lose")} ${count(memberships, "membership")}` : "",
  ].filter(Boolean);
  return { total: people + memberships, sentence: parts.join(", and ") };
}

/** The held list of one application: `{node, show(report)}`. */
export function heldPart(stage, app) {
  let limit = SHOWN;
  let drawing = 0;
  const drawn = part((report) => draw(report));

  function draw(report) {
    if (!report.list_number) return element("p", { class: "empty" }, "Nothing is held: nobody waits to lose access.");
    const { accounts } = report;
    const { sentence } = weigh(accounts);
    return [
      element("p", {}, `If you approve, ${sentence}. Everything else goes on meanwhile. Held since `, moment(report.since), "."),
      element(
        "p",
        { class: "actions" },
        button("Approve …", () => answer(report, "approve"), { class: "danger", key: `${app} approve`, "aria-label": `Approve the held list of ${app} …` }),
        button("Reject …", () => answer(report, "reject"), { key: `${app} reject`, "aria-label": `Reject the held list of ${app} …` }),
        namesButton(stage, accounts.slice(0, limit).map((each) => each.source_id), () => redraw(report), `${app} names`),
      ),
      table({
        caption: `Held at ${app}`,
        empty: "",
        rows: accounts.slice(0, limit),
        columns: [
          { head: "Who", cell: (each) => personLink(each.source_id) },
          { head: "Kind", cell: (each) => (each.kind === "group" ? `group, ${count(each.members ?? 0, "membership")}` : "person") },
          { head: "Account at the vendor", cell: (each) => (each.target_id ? words(each.target_id) : "may exist"), class: "id" },
          { head: "State until now", cell: (each) => badge(STATES[each.state], each.state) },
        ],
      }),
      accounts.length > limit
        ? element(
            "p",
            {},
            `${number(limit)} of ${number(accounts.length)} are shown. `,
            button("Show all", () => {
              limit = accounts.length;
              redraw(report);
            }, { key: `${app} all` }),
          )
        : null,
    ];
  }

  function redraw(report) {
    drawn.show(report, ++drawing);
  }

  async function answer(report, verb) {
    const { sentence, total } = weigh(report.accounts);
    const approves = verb === "approve";
    const done = await ask({
      title: approves ? `Approve the held list of ${app}?` : `Reject the held list of ${app}?`,
      text: approves
        ? [`${sentence[0].toUpperCase()}${sentence.slice(1)} at ${app}. This is for exactly the list that you saw; who is added later is asked about again.`]
        : [`Everybody on this list keeps access to ${app} until the directory changes again for them.`],
      yes: approves ? "Approve" : "Reject",
      tone: approves ? "danger" : "",
      typed: approves && total > MANY ? { label: `Type ${total} to confirm that so many lose something`, expected: String(total) } : null,
      act: () => act(at("applications", app, "held", report.list_number, verb)),
      told: ({ accounts }) =>
        approves
          ? `Approved: ${count(accounts, "account")} at ${app} will be deprovisioned.`
          : `Rejected: ${count(accounts, "account")} at ${app} stay as they are.`,
      onKeyRefused: stage.onKeyRefused,
    });
    if (done) stage.refresh();
  }

  return { node: drawn.node, show: (report) => drawn.show(report, drawing) };
}

/** The page: every application that holds somebody. */
export async function showHeld(stage) {
  stage.title("Held deletions");
  const parts = new Map();
  const page = part((names) =>
    names.length
      ? names.map((name) => section(`held-${name}`, link(["applications", name], name), parts.get(name).node))
      : element("p", { class: "empty" }, "Nothing is held at any application: nobody waits to lose access."),
  );
  stage.put(
    element("p", {}, "When more people would lose access at once than an application's deletion guard allows, they are held until a person has looked. A hold never ends by time."),
    page.node,
  );
  await stage.repeat(async () => {
    const applications = await read("applications", {}, stage.signal);
    const holding = applications.filter((each) => each.states.held > 0).map((each) => each.name);
    for (const name of holding) {
      if (!parts.has(name)) parts.set(name, heldPart(stage, name));
      parts.get(name).show(await read(at("applications", name, "held"), {}, stage.signal));
    }
    page.show(holding);
  });
}
