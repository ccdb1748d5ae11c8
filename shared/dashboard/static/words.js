// Numbers, instants and our own words, as people read them: in the locale of the reader.

const LOCALE = undefined; // The browser's own.
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const share = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 0 });
const instants = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });
const times = new Intl.DateTimeFormat(LOCALE, { timeStyle: "medium" });
const hours = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto" });

const SPANS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** State of an account -> what it is called, what it means, and whether it is good news. */
export const STATES = {
  in_sync: { name: "In sync", tone: "good", means: "equal to the directory" },
  pending: { name: "Pending", tone: "plain", means: "waiting for the first attempt" },
  skipped: { name: "Skipped", tone: "plain", means: "nothing is to be done at the vendor" },
  disabled: { name: "Disabled", tone: "plain", means: "switched off at the vendor" },
  escrowed: { name: "Failed", tone: "bad", means: "in escrow: tried again by itself, ever more seldom" },
  held: { name: "Held", tone: "warn", means: "would lose access, and waits for a person" },
  deleted: { name: "Deleted", tone: "plain", means: "removed at the vendor" },
};

/** Status of an application. */
export const STATUSES = {
  Active: { name: "Active", tone: "good" },
  Paused: { name: "Paused", tone: "warn" },
  Quarantine: { name: "Quarantine", tone: "bad" },
  off: { name: "Switched off", tone: "plain" },
};

/** Status of one attempt, or of one step of it. */
export const RESULTS = {
  success: { name: "Success", tone: "good" },
  failure: { name: "Failure", tone: "bad" },
  warning: { name: "Warning", tone: "warn" },
  skipped: { name: "Skipped", tone: "plain" },
};

/** With at most so many digits behind the point. */
export const number = (value, digits = 0) => (digits ? new Intl.NumberFormat(LOCALE, { maximumFractionDigits: digits }) : whole).format(value);

export const percent = (part, of) => share.format(of ? part / of : 1);

/** "1 account", "2,000 accounts". */
export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

export const instant = (text) => instants.format(new Date(text));

export const timeOfDay = (text) => times.format(new Date(text));

export const hourOfDay = (text) => hours.format(new Date(text));

/** "5 minutes ago", "in 2 hours". */
export function fromNow(text, now = Date.now()) {
  const seconds = Math.round((new Date(text) - now) / 1000);
  const [unit, length] = SPANS.find(([, each]) => Math.abs(seconds) >= each) ?? SPANS.at(-1);
  return relative.format(Math.round(seconds / length), unit);
}

/** "12 minutes", "2 days": one unit, rounded up, because people plan by it. */
export function span(seconds) {
  const [unit, length] = SPANS.find(([, each]) => seconds >= 1.5 * each) ?? SPANS.at(-1);
  const value = Math.max(1, Math.ceil(seconds / length));
  return new Intl.NumberFormat(LOCALE, { style: "unit", unit, unitDisplay: "long" }).format(value);
}

/** `target_id` as a label: "Target id". */
export function label(name) {
  const text = String(name).replaceAll("_", " ").replaceAll(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Whether a text is an instant as the API writes them. */
export const isInstant = (value) =>
  typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value);
