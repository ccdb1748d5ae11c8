// One application: how it stands, what can be done with it, what it holds and what failed.

import { act, at, read } from "./api.js";
import { drawProblems, drawProgress, drawReason, drawStates, readFigures, statusOf } from "./applications.js";
import { throughput } from "./charts.js";
import { driftPart } from "./drift.js";
import { anything, badge, button, element, facts, link, moment, part, section, table, words } from "./elements.js";
import { failuresPart } from "./failures.js";
import { heldPart } from "./held.js";
import { ask } from "./questions.js";
import { countedAt } from "./stage.js";
import { count, label, number, STATUSES } from "./words.js";

const CHARTS_EVERY = 6;

/** Lists are long: they are read again when the counts have changed, and for some beats after an action. */
const AGAIN = 3;

export async function showApplication(stage, { parts: [, app] }) {
  stage.title(app);
  const standing = part((report) => drawStanding(stage, report));
  const charts = part((figures) => throughput(figures, { key: "numbers" }));
  const history = part(drawHistory);
  const held = heldPart(stage, app);
  const failures = failuresPart(stage, app);
  const drift = driftPart(stage, app);
  const counted = element("p", { class: "hint" });
  let beats = 0;
  let version = "";
  let again = 0;
  stage.put(
    standing.node,
    section("charts", "The last 24 hours", charts.node),
    section("held", "Held deletions", held.node),
    section("failures", "Failures", failures.node),
    section("drift", "What people changed at the vendor", drift.node),
    section("history", "History", history.node, element("p", {}, link(["log"], `The log of ${app}`, { application: app }))),
    counted,
  );
  await stage.repeat(async () => {
    const report = await read(at("applications", app), {}, stage.signal);
    standing.show(report);
    history.show(report.history);
    counted.textContent = countedAt([report]);
    if (beats++ % CHARTS_EVERY === 0) charts.show(await readFigures(app, 24, stage.signal));
    const { held: holding, escrowed } = report.states;
    const now = JSON.stringify([holding, escrowed, report.pending > 0, report.status]);
    again = now === version ? again - 1 : AGAIN;
    version = now;
    if (again < 0 && beats % CHARTS_EVERY) return;
    held.show(await read(at("applications", app, "held"), {}, stage.signal));
    await failures.load();
    await drift.load();
  });
}

function drawStanding(stage, report) {
  return [
    element("p", { class: "status" }, badge(statusOf(report), report.status)),
    drawReason(report),
    drawProblems(report),
    drawProgress(report),
    drawStates(report),
    element("div", { class: "actions", role: "group", "aria-label": `Actions for ${report.name}` }, drawActions(stage, report)),
    facts([
      ["In the queue", Number.isFinite(report.queued) ? number(report.queued) : ""],
      ["Rate", drawRate(report)],
      ["Vendor asked to wait until", moment(report.vendor_pause_until)],
      ["Longest waiting since", moment(report.oldest_pending_at, { relative: true })],
      ["Last attempt", moment(report.last_activity_at, { relative: true })],
      ["Last cycle of the sync", drawCycle(report)],
      ["Directory read to its end", moment(report.complete_at, { relative: true })],
    ]),
  ];
}

function drawRate({ rate, rate_limit: limit }) {
  const achieved = Number.isFinite(rate) ? `${number(rate, 1)} accounts a second` : "";
  return [achieved, Number.isFinite(limit) ? `the vendor takes ${number(limit, 1)} requests a second` : ""].filter(Boolean).join("; ");
}

function drawCycle({ name, last_cycle: cycle }) {
  if (!cycle) return "";
  const raised = cycle.raised?.[name] ?? 0;
  return [words(cycle.outcome), ", ", moment(cycle.ended_at, { relative: true }), `, ${count(raised, "account")} to look at here`, cycle.error ? [": ", words(cycle.error)] : null];
}

function drawActions(stage, report) {
  const { name } = report;
  const offer = (text, question, properties = {}) =>
    button(`${text} …`, async () => {
      if (await ask({ onKeyRefused: stage.onKeyRefused, ...question })) stage.refresh();
    }, { key: `${name} ${text}`, ...properties });
  return [
    report.status === "Active" ? offer("Pause", pausing(name)) : offer("Resume", resuming(report), { class: "primary" }),
    offer("Test connection", testing(name)),
    offer("Test webhook", notifying(name)),
    offer("Restart", restarting(name)),
    offer("Provision on demand", onDemand(name)),
  ];
}

const pausing = (name) => ({
  title: `Pause ${name}?`,
  text: ["Nothing is written to the vendor until somebody resumes it; leavers keep their access for so long. Changes of the directory go on being read."],
  fields: [{ name: "reason", label: "Reason (optional)", type: "text", hint: "Shown in the status and the history." }],
  yes: "Pause",
  act: ({ reason }) => act(at("applications", name, "pause"), { reason }),
  told: ({ changed }) => (changed ? `${name} is paused.` : `${name} was paused already.`),
});

const resuming = ({ name, status }) => ({
  title: `Resume ${name}?`,
  text: [status === "Quarantine" ? "The quarantine ends at once. If its cause is not gone it begins again." : "What waited is written, leavers first, in the vendor's pace."],
  yes: "Resume",
  act: () => act(at("applications", name, "resume")),
  told: ({ changed }) => (changed ? `${name} is resumed.` : `${name} was active already.`),
});

const testing = (name) => ({
  title: `Test the connection to ${name}?`,
  text: ["The vendor is asked for a user that does not exist: are address and credentials right? Nothing is changed."],
  yes: "Test",
  act: () => act(at("applications", name, "test-connection")),
  told: ({ ok, advice }) => (ok ? `The connection to ${name} works. ${advice}`.trim() : `The connection to ${name} does not work.`),
  shown: (report) => [
    element("p", {}, badge(report.ok ? { name: "It works", tone: "good" } : { name: "It does not work", tone: "bad" })),
    facts([
      ["Answer", words(report.answer)],
      ["What to do", report.advice ? words(report.advice) : ""],
      ["Address", words(report.address)],
      ["Settings without a value", Object.entries(report.settings).filter(([, set]) => !set).map(([each]) => each).join(", ")],
    ]),
  ],
});

const notifying = (name) => ({
  title: `Send a test notice to the webhook of ${name}?`,
  text: ["The receiver gets one notice that says it is a test, signed as every notice is."],
  yes: "Send",
  act: () => act(at("applications", name, "test-webhook")),
  told: ({ ok }) => (ok ? `The webhook of ${name} took the notice.` : `The webhook of ${name} did not take the notice.`),
  shown: (report) =>
    facts([
      ["Answer", words(report.ok ? `taken (${report.status})` : report.detail)],
      ["What to do", report.advice ? words(report.advice) : ""],
    ]),
});

const RESETS = [
  { name: "watermark", label: "Watermark", hint: "Every account is looked at again, and whoever should have one." },
  { name: "escrows", label: "Escrows", hint: "Accounts that failed are tried again now." },
  { name: "quarantine", label: "Quarantine", hint: "A quarantine ends; a pause does not." },
  { name: "links", label: "Links", hint: "What was sent is forgotten, and sent again to every account that is known." },
];
const chosenResets = (values) => RESETS.map((each) => each.name).filter((name) => values[name]);

const restarting = (name) => ({
  title: `Restart ${name}?`,
  text: ["What is to begin anew? It is carried out in the vendor's pace; what the deletion guard holds stays held."],
  fields: RESETS.map((each) => ({ ...each, type: "checkbox", checked: each.name === "escrows" || each.name === "quarantine" })),
  yes: "Restart",
  tone: "danger",
  wrong: (values) => (chosenResets(values).length ? "" : "Choose what is to begin anew; nothing was done."),
  act: (values) => act(at("applications", name, "restart"), { reset: chosenResets(values) }),
  told: () => `${name} is restarted.`,
  shown: (report) => anything(report),
});

const onDemand = (name) => ({
  title: `Provision one account at ${name}`,
  text: ["One person or group is provisioned now, before the backlog."],
  fields: [
    { name: "id", label: "Id", type: "text", hint: "The directory's object id, or the vendor's id." },
    { name: "refresh", label: "Read the directory first", type: "checkbox" },
  ],
  yes: "Provision",
  wrong: ({ id }) => (id === "" ? "Give an id; nothing was done." : ""),
  act: ({ id, refresh }) => act(at("applications", name, "accounts", id, "provision"), { refresh }),
  told: (report) => `${label(report.outcome)}: ${report.next}`,
  shown: drawOnDemand,
});

/** The question of a person's page: the same, for somebody who is known. */
export const provisioning = (name, id) => ({
  ...onDemand(name),
  title: `Provision this account at ${name} now?`,
  fields: onDemand(name).fields.slice(1),
  act: ({ refresh }) => act(at("applications", name, "accounts", id, "provision"), { refresh }),
});

function drawOnDemand(report) {
  return [
    facts([
      ["Outcome", words(label(report.outcome))],
      ["Action", words(report.action)],
      ["Reason", words(report.reason)],
      ["Error", report.error ? [element("code", {}, words(report.error_code)), " ", words(report.error)] : ""],
      ["What to do", words(report.remedy)],
      ["Next", words(report.next)],
    ]),
    drawSteps(report.steps),
  ];
}

/** The six steps of an attempt. */
export const drawSteps = (steps) =>
  table({
    caption: "Steps",
    rows: steps,
    empty: "It did not come to a step.",
    columns: [
      { head: "Step", cell: (step) => label(step.provisioningStepType ?? step.type) },
      { head: "Status", cell: (step) => badge(null, step.status) },
      { head: "What", cell: (step) => words(step.description) },
      { head: "Details", cell: (step) => (Object.keys(step.details ?? {}).length ? anything(step.details) : "") },
    ],
  });

const drawHistory = (changes) =>
  table({
    caption: "Changes of status, newest first",
    rows: changes,
    empty: "Its status never changed.",
    columns: [
      { head: "When", cell: (change) => moment(change.at) },
      { head: "Status", cell: (change) => badge(STATUSES[change.status], change.status) },
      { head: "Why", cell: (change) => words([change.reason, change.detail].filter(Boolean).join(": ")) },
    ],
  });
