// Accounts whose last attempt failed: why, what to do, when they are tried again, and another try at once.

import { act, at, read } from "./api.js";
import { badge, button, element, link, moment, part, section, table, words } from "./elements.js";
import { namesButton, personLink } from "./names.js";
import { ask } from "./questions.js";
import { announce, complain } from "./stage.js";
import { count, number, STATES } from "./words.js";

const AT_ONCE = 100;

/** The failures of one application: `{node, load()}`; `load` reads them again. */
export function failuresPart(stage, app) {
  let code = "";
  let limit = AT_ONCE;
  let known = [];
  let drawing = 0;
  const asked = new Set();
  const drawn = part((page) => draw(page));

  function draw({ items, next }) {
    if (!items.length && !code) return element("p", { class: "empty" }, "No account failed.");
    return [
      element(
        "p",
        { class: "actions" },
        filter(),
        retryAll(items, next),
        namesButton(stage, items.map((each) => each.source_id), () => drawn.show({ items, next, code }, ++drawing), `${app} failed names`),
      ),
      table({
        caption: `Failed accounts of ${app}`,
        empty: `No account failed with ${code}.`,
        rows: items,
        columns: [
          { head: "Who", cell: (each) => personLink(each.source_id) },
          { head: "Reason", cell: (each) => reason(each) },
          { head: "What to do", cell: (each) => words(each.remedy) },
          {
            head: "Tried",
            cell: (each) => [count(each.attempts, "time"), each.first_at ? [", first ", moment(each.first_at, { relative: true })] : null],
          },
          { head: "Next try", cell: (each) => nextTry(each) },
          {
            head: "Action",
            cell: (each) => button("Retry", () => retryOne(each), { key: `${app} retry ${each.source_id}`, "aria-label": `Retry ${each.source_id}` }),
          },
        ],
      }),
      next
        ? element("p", {}, `The first ${number(items.length)} are shown. `, button("Show more", showMore, { key: `${app} more` }))
        : null,
    ];
  }

  function filter() {
    const id = `code-${app}`;
    const choices = [...new Set([...known, code].filter(Boolean))].sort();
    const select = element(
      "select",
      { id, key: id, on: { change: (event) => ((code = event.target.value), (limit = AT_ONCE), load().catch(tell)) } },
      element("option", { value: "" }, "every reason"),
      choices.map((each) => element("option", { value: each, selected: each === code }, each)),
    );
    return [element("label", { for: id }, "Reason"), select];
  }

  function retryAll(items, next) {
    const retried = code ? `all with ${code}` : "all";
    return button(`Retry ${retried} …`, async () => {
      const done = await ask({
        title: `Retry ${retried} at ${app}?`,
        text: [`${count(items.length, "account")}${next ? " or more" : ""} will be tried again now, in the pace that the vendor allows.`],
        yes: "Retry",
        act: () => act(at("applications", app, "retry"), { code }),
        told: ({ accounts }) => `${count(accounts, "account")} at ${app} will be tried again.`,
        onKeyRefused: stage.onKeyRefused,
      });
      if (done) stage.refresh();
    }, { key: `${app} retry all` });
  }

  async function retryOne(account) {
    // Not a disabled button: it would lose the focus of whoever works with the keyboard.
    if (asked.has(account.source_id)) return;
    asked.add(account.source_id);
    try {
      await act(at("applications", app, "accounts", account.source_id, "retry"));
      announce(`${account.source_id} is queued for another try at ${app}.`);
      await stage.refresh();
    } catch (error) {
      tell(error);
    } finally {
      asked.delete(account.source_id);
    }
  }

  function showMore() {
    limit = Math.min(1000, limit * 3);
    load().catch(tell);
  }

  function tell(error) {
    if (!stage.isSignedOutBy(error)) complain(error.message);
  }

  async function load() {
    const { items, next } = await read(at("applications", app, "failures"), { code, limit }, stage.signal);
    if (!code) known = items.map((each) => each.code);
    drawn.show({ items, next, code }, drawing);
  }

  return { node: drawn.node, load };
}

function reason(account) {
  return [
    badge(STATES[account.state], account.state),
    " ",
    element("code", {}, words(account.code)),
    element("p", { class: "said" }, words(account.text)),
  ];
}

function nextTry(account) {
  if (account.next_at) return moment(account.next_at, { relative: true });
  return account.state === "escrowed" ? "when the person changes, or by Retry" : "as soon as its turn comes";
}

/** The page: every application with failures. */
export async function showFailures(stage, { query }) {
  stage.title("Failures");
  const only = query.get("application");
  const parts = new Map();
  const page = part((names) =>
    names.length
      ? names.map((name) => section(`failures-${name}`, link(["applications", name], name), parts.get(name).node))
      : element("p", { class: "empty" }, "No account failed at any application."),
  );
  stage.put(
    element("p", {}, "Each account is tried again by itself after 6, 12 and 24 hours, then daily for 28 days, and at once when the person changes in the directory."),
    page.node,
  );
  await stage.repeat(async () => {
    const applications = await read("applications", {}, stage.signal);
    const failing = applications.filter((each) => (only ? each.name === only : each.states.escrowed > 0 || parts.has(each.name)));
    for (const { name } of failing) {
      if (!parts.has(name)) parts.set(name, failuresPart(stage, name));
      await parts.get(name).load();
    }
    page.show(failing.map((each) => each.name));
  });
}
