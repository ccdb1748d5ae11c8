// The beginning: sign-in, the pages by their address, and the way between them.
//
// An address is behind the #, so that it can be shared and never reaches a server: #/applications/fuze, #/log?code=...

import { KeyRefused, read, signedIn, signIn, signOut } from "./api.js";
import { showAccounts } from "./accounts.js";
import { showApplication } from "./application.js";
import { showApplications } from "./applications.js";
import { showAudit } from "./audit.js";
import { showUnowned } from "./drift.js";
import { button, element } from "./elements.js";
import { showFailures } from "./failures.js";
import { showHeld } from "./held.js";
import { showLog } from "./log.js";
import { forgetNames } from "./names.js";
import { showPeople, showPerson } from "./people.js";
import { dismiss } from "./questions.js";
import { announce, complain, explain, Stage } from "./stage.js";

/** Names of segments, null for any; the first that fits. */
const PAGES = [
  [["applications"], showApplications],
  [["applications", null], showApplication],
  [["applications", null, "accounts"], showAccounts],
  [["applications", null, "unowned"], showUnowned],
  [["held"], showHeld],
  [["failures"], showFailures],
  [["people"], showPeople],
  [["people", null], showPerson],
  [["log"], showLog],
  [["audit"], showAudit],
];

const HOME = "#/applications";
const PRINTABLE = /^[\x21-\x7e]+$/;
const NAME = /^[\x20-\x7e]{1,100}$/;
const byId = (id) => document.getElementById(id);

let stage = null;

/** The page of an address: `{show, parts, query}`; null: there is none. */
function locate(hash) {
  const [path, query = ""] = hash.slice(2).split("?", 2);
  let parts;
  try {
    parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return null;
  }
  const found = PAGES.find(([names]) => names.length === parts.length && names.every((name, index) => name === null || name === parts[index]));
  return found ? { show: found[1], parts, query: new URLSearchParams(query) } : null;
}

/** Shows the page of the present address, or the form. */
async function enter({ moveFocus }) {
  stage?.leave();
  dismiss();
  complain("");
  const isIn = Boolean(signedIn());
  for (const id of ["pages", "who", "view"]) byId(id).hidden = !isIn;
  byId("sign-in").hidden = isIn;
  byId("actor").textContent = signedIn()?.actor ?? "";
  if (!isIn) return askWho();
  if (!location.hash.startsWith("#/")) history.replaceState(null, "", HOME);
  const found = locate(location.hash);
  const current = (stage = new Stage(askAgain));
  markPage(found?.parts[0]);
  if (!found) {
    current.title("There is no such page");
    current.put(element("p", {}, "The address may be mistyped. The pages are named above."));
  } else {
    current.put(element("p", { class: "empty" }, "Loading …"));
    byId("view").setAttribute("aria-busy", "true");
    await visit(current, found);
  }
  if (!current.isLeft) byId("view").setAttribute("aria-busy", "false");
  if (moveFocus && !current.isLeft && !byId("view").contains(document.activeElement)) byId("title").focus({ preventScroll: false });
}

async function visit(current, found) {
  try {
    await found.show(current, found);
  } catch (error) {
    if (current.isSignedOutBy(error)) return;
    current.put(
      element("div", { class: "trouble", role: "alert" }, explain(error)),
      button("Try again", () => enter({ moveFocus: true }), { class: "primary" }),
    );
    // A bug, not a refusal: whoever looks into it finds it in the browser's console.
    if (error.status === undefined) console.error(error);
  }
}

function markPage(name) {
  for (const each of byId("pages").querySelectorAll("a")) {
    if (each.hash === `#/${name}`) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
}

function askWho() {
  forgetNames();
  byId("title").textContent = "Sign in";
  document.title = "Sign in - Provisioning";
  byId("view").replaceChildren();
  byId("news").textContent = "";
  byId("read-key").focus();
}

/** Back to the form, with a sentence that says why. The name stays. */
function askAgain(sentence) {
  byId("actor-name").value = signedIn()?.actor ?? "";
  signOut();
  enter({ moveFocus: false });
  complain(sentence);
}

/** What is wrong with the form: `[input, sentence]`, or null. */
function findMistake() {
  const [key, actKey, actor] = ["read-key", "act-key", "actor-name"].map(byId);
  if (!PRINTABLE.test(key.value.trim())) return [key, "Give the key that reads: letters, digits and signs, without blanks."];
  if (actKey.value.trim() && !PRINTABLE.test(actKey.value.trim())) return [actKey, "The key that acts has characters that no key has."];
  if (!NAME.test(actor.value.trim())) return [actor, "Say who you are, in plain Latin letters: your name or your e-mail address."];
  return null;
}

async function submit(event) {
  event.preventDefault();
  complain("");
  for (const input of byId("sign-in").querySelectorAll("input")) input.removeAttribute("aria-invalid");
  const mistake = findMistake();
  if (mistake) {
    const [input, sentence] = mistake;
    input.setAttribute("aria-invalid", "true");
    complain(sentence);
    input.focus();
    return;
  }
  signIn({ read: byId("read-key").value.trim(), act: byId("act-key").value.trim(), actor: byId("actor-name").value.trim() });
  announce("Signing in …");
  try {
    await read("applications");
  } catch (error) {
    announce("");
    if (error instanceof KeyRefused) return askAgain(error.message);
    signOut();
    return complain(error.message);
  }
  byId("sign-in").reset();
  announce("");
  await enter({ moveFocus: true });
}

byId("sign-in").addEventListener("submit", submit);
byId("sign-out").addEventListener("click", () => {
  signOut();
  enter({ moveFocus: false });
  announce("You are signed out; the keys are forgotten.");
});
byId("skip").addEventListener("click", (event) => {
  // The address stays: what is behind the # names a page.
  event.preventDefault();
  byId("main").focus();
});
addEventListener("hashchange", () => {
  announce("");
  enter({ moveFocus: true });
});
enter({ moveFocus: false });
