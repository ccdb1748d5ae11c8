// The first page: every application at a glance, what needs a person first.

import { at, read } from "./api.js";
import { badge, element, moment, part, place, section, words } from "./elements.js";
import { throughput } from "./charts.js";
import { countedAt } from "./stage.js";
import { count, number, percent, span, STATES, STATUSES } from "./words.js";

/** Charts change by the hour; they are read with every sixth beat. */
const CHARTS_EVERY = 6;
const FIRST = ["in_sync", "pending", "held", "escrowed"];

export const statusOf = (report) => STATUSES[report.enabled ? report.status : "off"];

/** The bar, its numbers, and the time that is left. */
export function drawProgress(report) {
  const { total } = report;
  if (!total) return element("p", { class: "empty" }, "No accounts yet: they come with the first sync.");
  // Who is on a list and has a row counts twice until it is taken up.
  const done = Math.max(0, total - report.in_line);
  const text = `${number(done)} of ${count(total, "account")} had their turn (${percent(done, total)})`;
  return element(
    "div",
    { class: "progress" },
    element("progress", { max: total, value: done, "aria-label": `Progress of ${report.name}` }, text),
    element("p", {}, text, element("br"), element("span", { class: "left" }, timeLeft(report))),
  );
}

function timeLeft(report) {
  const parked = Math.max(0, report.pending - report.in_line);
  const others = parked ? `${count(parked, "account waits", "accounts wait")} for a person, or for a later try.` : "";
  return [report.in_line ? line(report) : "", others].filter(Boolean).join(" ") || "Nothing is left to do.";
}

/** Who gets a turn without anybody's doing, and when they all had it. */
function line(report) {
  const left = `${count(report.in_line, "account")} in line`;
  if (!report.enabled) return `${left}; nothing moves while it is switched off.`;
  if (report.status === "Paused") return `${left}; nothing moves while it is paused.`;
  if (report.status === "Quarantine") return `${left}; nothing moves while it is in quarantine.`;
  return report.seconds_left === null ? `${left}; how long it takes is not known yet.` : `${left}, about ${span(report.seconds_left)}.`;
}

/** Why an application stands still, and since when. */
export function drawReason(report) {
  if (!report.reason) return null;
  return element(
    "p",
    { class: "said" },
    words(report.reason),
    report.since ? [element("br"), "Since ", moment(report.since, { relative: true }), "."] : null,
    report.next_probe_at ? [" It is tried again ", moment(report.next_probe_at, { relative: true }), "."] : null,
  );
}

/** What is wrong around an application, and what to do about it. */
export function drawProblems(report) {
  const problems = report.problems ?? [];
  if (!problems.length) return null;
  return element(
    "ul",
    { class: "problems", "aria-label": `Problems of ${report.name}` },
    problems.map(({ text, remedy }) =>
      // A quarantine's own words stand above already.
      element("li", {}, text === report.reason ? null : [words(text), element("br")], element("span", { class: "hint" }, words(remedy))),
    ),
  );
}

export async function showApplications(stage) {
  stage.title("Applications");
  const waiting = part(drawWaiting);
  const cards = part(drawCards);
  const counted = element("p", { class: "hint" });
  const figures = {};
  let beats = 0;
  stage.put(section("waiting", "Waits for a person", waiting.node), section("all", "All applications", cards.node), counted);
  await stage.repeat(async () => {
    const reports = await read("applications", {}, stage.signal);
    if (beats++ % CHARTS_EVERY === 0) {
      await Promise.all(reports.map(async ({ name }) => (figures[name] = await readFigures(name, 24, stage.signal))));
    }
    waiting.show([...directory(reports), ...reports.flatMap(waits)]);
    cards.show(reports, figures);
    counted.textContent = countedAt(reports);
  });
}

/** The hours of an application, the present one last. */
export const readFigures = async (name, hours, signal) => (await read(at("applications", name, "figures"), { hours }, signal)).hours;

/** What is wrong with the directory is everybody's trouble, and said once. */
function directory(reports) {
  const report = reports.find(({ problems = [] }) => problems.some(isDirectory));
  if (!report) return [];
  return [{ tone: "bad", name: "The directory", parts: ["applications", report.name], sentence: "cannot be read: no changes arrive" }];
}

const isDirectory = ({ code }) => code.startsWith("Directory");
const isSetting = ({ code }) => code.startsWith("Setting");

/** What waits for somebody at one application: `[{tone, name, parts, query, about, sentence}]`. */
function waits(report) {
  if (!report.enabled) return [];
  const { held, escrowed } = report.states;
  const found = [];
  if (report.status === "Quarantine") {
    found.push({ tone: "bad", name: report.name, parts: ["applications", report.name], sentence: "is in quarantine: nothing is pushed" });
  }
  if (report.problems?.some(isSetting)) {
    found.push({ tone: "bad", name: report.name, parts: ["applications", report.name], about: "setting", sentence: "lacks a setting" });
  }
  if (held) {
    found.push({ tone: "warn", name: report.name, parts: ["held"], sentence: `holds ${count(held, "account")} back until you approve or reject` });
  }
  if (escrowed) {
    found.push({ tone: "bad", name: report.name, parts: ["failures"], query: { application: report.name }, sentence: `could not provision ${count(escrowed, "account")}` });
  }
  return found;
}

function drawWaiting(found) {
  if (!found.length) return element("p", { class: "empty" }, "Nothing: every application goes on by itself.");
  return element(
    "ul",
    { class: "waiting" },
    found.map(({ tone, name, parts, query, about = "", sentence }) =>
      element("li", { class: tone }, element("a", { href: place(parts, query), key: `${name} ${parts[0]} ${about}` }, words(name), ` ${sentence}`)),
    ),
  );
}

function drawCards(reports, figures) {
  if (!reports.length) return element("p", { class: "empty" }, "provisioning.yaml names no application yet.");
  return element("ul", { class: "cards" }, reports.map((report) => element("li", {}, drawCard(report, figures[report.name]))));
}

function drawCard(report, figures) {
  const id = `application-${report.name}`;
  return element(
    "article",
    { class: "card", "aria-labelledby": id },
    element("h3", { id }, element("a", { href: place(["applications", report.name]), key: id }, words(report.name)), " ", badge(statusOf(report), report.status)),
    drawReason(report),
    drawProblems(report),
    drawProgress(report),
    element("ul", { class: "counts" }, FIRST.map((state) => drawCount(report, state))),
    throughput(figures, { key: `${id} numbers`, numbers: false }),
  );
}

function drawCount(report, state) {
  const value = report.states[state] ?? 0;
  const tone = value && state !== "in_sync" ? STATES[state].tone : "plain";
  return element(
    "li",
    { class: tone },
    element("a", { href: place(["applications", report.name, "accounts"], { state }), key: `${report.name} ${state}` }, element("strong", {}, number(value)), ` ${STATES[state].name.toLowerCase()}`),
  );
}

/** Accounts by state, each a way to the list. */
export const drawStates = (report) =>
  element(
    "ul",
    { class: "counts wide" },
    Object.keys(report.states).map((state) => drawCount(report, state)),
  );

