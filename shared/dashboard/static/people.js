// A person, or a group, across all vendors: found by what is known of them, and told as one story.

import { act, at, read } from "./api.js";
import { provisioning } from "./application.js";
import { anything, badge, button, element, facts, link, more, part, place, section, table, words } from "./elements.js";
import { drawLines } from "./log.js";
import { nameOf } from "./names.js";
import { ask } from "./questions.js";
import { announce, complain } from "./stage.js";
import { count, label, STATES } from "./words.js";

const SHOWN_FIRST = ["state", "target_id", "pending", "error_code", "error", "attempts", "next_attempt_at", "failed_at"];

export async function showPeople(stage, { query }) {
  const term = query.get("search") ?? "";
  stage.title("People");
  const found = element("div");
  stage.put(drawSearch(term), found);
  if (!term) return;
  found.append(element("p", {}, "Looking …"));
  const answer = await read("people", { search: term }, stage.signal);
  found.replaceChildren(...drawFound(answer, term));
  announce(answer.people.length ? `${count(answer.people.length, "match", "matches")} for the search.` : "Nobody was found.");
}

function drawSearch(term) {
  const search = (event) => {
    event.preventDefault();
    const chosen = new FormData(event.target).get("search").trim();
    const target = place(["people"], { search: chosen });
    if (target === location.hash) dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = target;
  };
  return element(
    "form",
    { class: "filters", role: "search", "aria-label": "People", on: { submit: search } },
    element(
      "p",
      {},
      element("label", { for: "people-search" }, "Name, user name or id"),
      element("input", { id: "people-search", name: "search", type: "search", value: term, maxlength: 256, autocomplete: "off", "aria-describedby": "people-hint" }),
      element("span", { class: "hint", id: "people-hint" }, "The beginning of a name, a whole user principal name, a directory id, or an id at a vendor. Groups are found, too."),
    ),
    element("p", { class: "actions" }, element("button", { type: "submit", class: "primary" }, "Search")),
  );
}

function drawFound({ people, unasked = [], is_cut: isCut = false }, term) {
  return [
    table({
      caption: `Found for ${term}`,
      rows: people,
      empty: "Nobody was found. Names are searched from their beginning; ids and user names have to be whole.",
      columns: [
        { head: "Name", cell: (each) => link(["people", each.id], nameOf(each)) },
        { head: "User name", cell: (each) => words(each.properties.userPrincipalName ?? each.properties.mail ?? "") },
        { head: "Kind", cell: (each) => (each.kind === "group" ? "group" : "person") },
        { head: "In the directory", cell: (each) => words(label(each.presence)) },
        { head: "Found by", cell: (each) => words(each.found_by.join(", ")) },
      ],
    }),
    isCut ? element("p", {}, "More begin like this than are shown: type more of the name.") : "",
    ...unasked.map((each) => element("p", { class: "trouble" }, words(each.source), " could not be asked: ", words(each.reason))),
  ];
}

export async function showPerson(stage, { parts: [, id] }) {
  stage.title("Person");
  const directory = part(drawDirectory);
  const accounts = part((found) => drawAccounts(stage, id, found));
  const timeline = part((lines) => drawLines("What was done, newest first", lines, "Nothing was done yet.", { ofOne: true }));
  const older = element("p");
  stage.put(
    directory.node,
    section("accounts", "Accounts", accounts.node),
    section("timeline", "Timeline", timeline.node, older),
  );
  await stage.repeat(async () => {
    const person = await read(at("people", id), {}, stage.signal);
    stage.title(nameOf(person));
    directory.show(person);
    accounts.show(person.accounts);
    timeline.show(person.timeline);
    older.replaceChildren(...(person.timeline_next ? [link(["log"], "Older lines in the log", { source_id: person.id })] : []));
  });
}

function drawDirectory(person) {
  return facts([
    [person.kind === "group" ? "Group" : "Person", element("span", { class: "id" }, words(person.id))],
    ["In the directory", words(label(person.presence))],
    ...Object.entries(person.properties).map(([name, value]) => [label(name), anything(value)]),
  ]);
}

function drawAccounts(stage, id, accounts) {
  if (!accounts.length) return element("p", { class: "empty" }, "No application is configured.");
  return element("ul", { class: "cards" }, accounts.map((account) => element("li", {}, drawAccount(stage, id, account))));
}

function drawAccount(stage, id, account) {
  const { application: app, row, directory } = account;
  const heading = `account-${app}`;
  const known = SHOWN_FIRST.filter((name) => name in row && name !== "state");
  return element(
    "article",
    { class: "card", "aria-labelledby": heading },
    element(
      "h3",
      { id: heading },
      link(["applications", app], app),
      " ",
      row.state ? badge(STATES[row.state], row.state) : badge({ name: "No account", tone: "plain" }),
    ),
    element("p", {}, words(account.next)),
    account.remedy ? element("p", { class: "said" }, words(account.remedy)) : null,
    facts([...known.map((name) => [label(name), anything(row[name])]), ["Standing", words(directory.standing ?? "")]]),
    element(
      "p",
      { class: "actions" },
      button("Provision now …", () => provision(stage, app, id), { key: `${app} provision`, "aria-label": `Provision at ${app} now …` }),
      row.error_code && row.pending
        ? button("Retry", () => retry(stage, app, id), { key: `${app} retry`, "aria-label": `Retry at ${app}` })
        : null,
      button("What would happen?", () => preview(stage, app, id), { key: `${app} preview`, "aria-label": `What would happen at ${app}?` }),
    ),
    more("Everything that is known", `${app} known`, anything({ directory, row })),
  );
}

async function provision(stage, app, id) {
  if (await ask({ onKeyRefused: stage.onKeyRefused, ...provisioning(app, id) })) stage.refresh();
}

async function retry(stage, app, id) {
  try {
    await act(at("applications", app, "accounts", id, "retry"));
    announce(`Queued for another try at ${app}.`);
    stage.refresh();
  } catch (error) {
    if (!stage.isSignedOutBy(error)) complain(error.message);
  }
}

const preview = (stage, app, id) =>
  ask({
    title: `What would happen at ${app}?`,
    text: ["It is worked out from what is known now; nothing is sent."],
    yes: "Work it out",
    act: () => read(at("applications", app, "accounts", id, "preview"), {}, stage.signal),
    told: ({ action, reason }) => `${label(action)}: ${reason}`,
    shown: drawPreview,
    onKeyRefused: stage.onKeyRefused,
  });

function drawPreview({ modified = [], ...rest }) {
  return [
    anything(Object.fromEntries(Object.entries(rest).filter(([, value]) => value && value.length !== 0))),
    table({
      caption: "What would change",
      rows: modified,
      empty: "No attribute would change.",
      columns: [
        { head: "Attribute", cell: (each) => words(each.name) },
        { head: "Last sent", cell: (each) => anything(each.old) },
        { head: "Would be", cell: (each) => anything(each.new) },
      ],
    }),
  ];
}
