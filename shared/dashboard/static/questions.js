// Nothing is done without a question: what will happen, to how many, and a way back. The answer of the service is
// shown where the question was, so that a refusal is read before the dialog is gone.

import { KeyRefused } from "./api.js";
import { element, replace } from "./elements.js";
import { announce, explain } from "./stage.js";

const byId = (id) => document.getElementById(id);

/**
 * Asks, and does it. Resolves to whether it was done.
 *
 *     title, yes      heading, and the name of the button that does it
 *     text            what will happen: sentences or nodes
 *     tone            `danger` where somebody loses something
 *     fields          [{name, label, type: text | checkbox, checked, hint}]
 *     typed           {label, expected}: what has to be typed first
 *     wrong(values)   what is wrong with the fields, a sentence
 *     act(values)     does it; its answer goes to
 *     told(answer)    a sentence that is announced, and
 *     shown(answer)   nodes; with it the dialog stays open until they were read
 *     onKeyRefused    what to do when the key may not
 */
export function ask(question) {
  const dialog = byId("question");
  const opener = document.activeElement;
  const yes = byId("question-yes");
  const no = byId("question-no");
  const ending = new AbortController();
  let isBusy = false;
  let isDone = false;
  let refused = null;

  byId("question-title").textContent = question.title;
  replace(byId("question-text"), (question.text ?? []).map((each) => element("p", {}, each)));
  replace(byId("question-fields"), (question.fields ?? []).map(drawField), question.typed ? drawTyped(question.typed) : null);
  replace(byId("question-trouble"));
  replace(byId("question-result"));
  yes.textContent = question.yes;
  yes.className = question.tone === "danger" ? "danger" : "primary";
  yes.hidden = false;
  no.textContent = "Cancel";

  async function answer(event) {
    event.preventDefault();
    if (isBusy || isDone) return;
    const values = readFields(question.fields ?? []);
    const wrong = question.typed ? wrongWord(question.typed) : question.wrong?.(values);
    if (wrong) {
      replace(byId("question-trouble"), wrong);
      byId("question-fields").querySelector("input")?.focus();
      return;
    }
    replace(byId("question-trouble"));
    replace(byId("question-result"), element("p", {}, "Working …"));
    isBusy = true;
    try {
      const result = await question.act(values);
      isDone = true;
      announce(question.told(result));
      if (!question.shown) return dialog.close();
      replace(byId("question-result"), question.shown(result));
      yes.hidden = true;
      no.textContent = "Close";
      no.focus();
    } catch (error) {
      if (error instanceof KeyRefused) {
        refused = error;
        dialog.close();
        return;
      }
      replace(byId("question-result"));
      replace(byId("question-trouble"), explain(error));
    } finally {
      isBusy = false;
    }
  }

  return new Promise((resolve) => {
    const options = { signal: ending.signal };
    byId("question-form").addEventListener("submit", answer, options);
    no.addEventListener("click", () => dialog.close(), options);
    // Closing while the service works would leave its answer unread.
    dialog.addEventListener("cancel", (event) => isBusy && event.preventDefault(), options);
    dialog.addEventListener(
      "close",
      () => {
        ending.abort();
        if (refused) question.onKeyRefused(refused.message);
        else giveFocusBack(opener);
        resolve(isDone);
      },
      options,
    );
    dialog.showModal();
  });
}

/** Closes a question that the page was left with. */
export function dismiss() {
  if (byId("question").open) byId("question").close();
}

function drawField({ name, label, type, checked = false, hint = "" }) {
  const id = `question-${name}`;
  const described = hint ? `${id}-hint` : null;
  const input = element("input", {
    id,
    type,
    checked: type === "checkbox" && checked,
    maxlength: type === "text" ? 300 : null,
    autocomplete: "off",
    "aria-describedby": described,
  });
  const text = element("label", { for: id }, label);
  const explained = hint ? element("span", { class: "hint", id: described }, hint) : null;
  return element("p", { class: type }, type === "checkbox" ? [input, text] : [text, input], explained);
}

function drawTyped({ label }) {
  return element(
    "p",
    {},
    element("label", { for: "question-typed" }, label),
    element("input", { id: "question-typed", type: "text", autocomplete: "off", inputmode: "numeric", "aria-describedby": "question-trouble" }),
  );
}

const wrongWord = ({ expected }) =>
  byId("question-typed").value.trim() === expected ? "" : `Type ${expected} to confirm; nothing was done.`;

function readFields(fields) {
  return Object.fromEntries(
    fields.map(({ name, type }) => {
      const input = byId(`question-${name}`);
      return [name, type === "checkbox" ? input.checked : input.value.trim()];
    }),
  );
}

/** To the button that was pressed, or its heir after a drawing, or the heading. */
function giveFocusBack(opener) {
  const key = opener?.dataset.key;
  const heir = key && [...document.querySelectorAll("main [data-key]")].find((each) => each.dataset.key === key);
  const target = opener?.isConnected ? opener : heir || byId("title");
  target.focus({ preventScroll: true });
}
