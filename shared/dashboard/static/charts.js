// Small charts: bars by the hour. Every chart says in words what it shows, and its numbers can be opened as a table.

import { element, more, shape, table } from "./elements.js";
import { count, hourOfDay, instant, number } from "./words.js";

const WIDTH = 240;
const HEIGHT = 48;
const GAP = 1;

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Changes that reached a vendor, and attempts that failed, in each hour: `[{at, changes, failures}]`. */
function byHour(figures) {
  return figures.map(({ at, results = {}, actions = {} }) => ({
    at,
    changes: (results.success ?? 0) + (results.warning ?? 0),
    failures: results.failure ?? 0,
    actions,
  }));
}

/** One series as a figure with a caption; `tone` is the bars' colour: `good` or `bad`. */
function barChart({ caption, hours, values, one, tone }) {
  const total = sum(values);
  const most = Math.max(...values, 0);
  const at = values.indexOf(most);
  const hour = `in the hour from ${hourOfDay(hours[at])}`;
  const sentence = describe({ total, most, one, hour });
  return element(
    "figure",
    { class: "chart" },
    element("figcaption", {}, element("strong", {}, caption), " ", element("span", {}, sentence)),
    draw({ values, most, tone, name: `${caption}: ${sentence}` }),
    element(
      "p",
      { class: "axis", "aria-hidden": "true" },
      element("span", {}, hourOfDay(hours[0])),
      element("span", {}, `most: ${number(most)}`),
      element("span", {}, hourOfDay(hours.at(-1))),
    ),
  );
}

function describe({ total, most, one, hour }) {
  if (!total) return `No ${one} in this time.`;
  if (most === total) return `${count(total, one)}, ${hour}.`;
  return `${count(total, one)}; most of them, ${number(most)}, ${hour}.`;
}

function draw({ values, most, tone, name }) {
  const width = WIDTH / values.length;
  const bars = values.map((value, index) => {
    // Whatever happened is seen, however little it was beside the rest.
    const height = value ? Math.max(2, (value / most) * HEIGHT) : 0;
    return shape("rect", {
      class: `bar ${tone}`,
      x: (index * width).toFixed(2),
      y: (HEIGHT - height).toFixed(2),
      width: Math.max(1, width - GAP).toFixed(2),
      height: height.toFixed(2),
    });
  });
  const base = shape("rect", { class: "base", x: 0, y: HEIGHT - 0.5, width: WIDTH, height: 0.5 });
  return shape(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": name },
    base,
    bars,
  );
}

/** Both series of an application, and the numbers behind them. */
export function throughput(figures, { key, span = "24 hours", numbers = true }) {
  if (!figures) return element("p", { class: "empty" }, "The figures are being read …");
  const hours = byHour(figures);
  const at = hours.map((hour) => hour.at);
  const charts = element(
    "div",
    { class: "charts" },
    barChart({ caption: `Changes in ${span}`, hours: at, values: hours.map((hour) => hour.changes), one: "change", tone: "good" }),
    barChart({ caption: `Failures in ${span}`, hours: at, values: hours.map((hour) => hour.failures), one: "failure", tone: "bad" }),
  );
  return numbers ? [charts, more("The numbers of each hour", key, tabulate(hours))] : charts;
}

function tabulate(hours) {
  const busy = hours.filter((hour) => hour.changes || hour.failures);
  return table({
    caption: "Changes and failures by the hour",
    rows: busy.reverse(),
    empty: "Nothing happened in this time.",
    columns: [
      { head: "Hour", cell: (hour) => instant(hour.at) },
      { head: "Changes", cell: (hour) => number(hour.changes), class: "number" },
      { head: "Failures", cell: (hour) => number(hour.failures), class: "number" },
      {
        head: "What was done",
        cell: (hour) => Object.entries(hour.actions).filter(([, value]) => value).map(([name, value]) => `${name} ${number(value)}`).join(", "),
      },
    ],
  });
}
