// The service's API, with the keys of whoever signed in.
//
// The keys live in sessionStorage: they are gone with the tab, and no other site can make a browser send them, as it
// can with a cookie. They travel in a header only, never in an address.

const API = new URL("../", import.meta.url);
const STORED = "provisioner-sign-in";
const PATIENCE_MS = 60_000;

/** A request that was not answered as asked; the message is for people. */
class Refusal extends Error {
  constructor(message, { status = 0, errors = [] } = {}) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

/** A key that the service does not take: the way back is the form. */
export class KeyRefused extends Refusal {}

/** Who signed in: `{read, act, actor}`, or null. */
export function signedIn() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED));
  } catch {
    return null;
  }
}

export function signIn(keys) {
  sessionStorage.setItem(STORED, JSON.stringify(keys));
}

export function signOut() {
  sessionStorage.removeItem(STORED);
}

/** The address of a resource: every part is one segment, whatever characters it holds. */
export function at(...parts) {
  const segments = parts.map(String);
  if (segments.some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw new Refusal("There is no such address.", { status: 404 });
  }
  return segments.map(encodeURIComponent).join("/");
}

/** GET. `query` holds what is asked for; empty values are left out. */
export async function read(address, query = {}, signal = undefined) {
  return (await call("GET", address, { query, signal })).json();
}

/** GET of a file: `{file, isCut}`; a file that was cut begins with the newest. */
export async function download(address, query = {}) {
  const response = await call("GET", address, { query });
  return { file: await response.blob(), isCut: response.headers.has("X-Next-Cursor") };
}

/** POST: something changes, and is noted under the name of whoever signed in. */
export async function act(address, body = undefined) {
  return (await call("POST", address, { body })).json();
}

async function call(method, address, { query = {}, body = undefined, signal = undefined }) {
  const keys = signedIn();
  const url = new URL(address, API);
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  const headers = { Accept: "application/json", "x-functions-key": (method === "POST" && keys?.act) || keys?.read || "" };
  if (method === "POST") {
    headers["X-Actor"] = keys?.actor ?? "";
    headers["X-Client"] = "dashboard";
    headers["Content-Type"] = "application/json";
  }
  const patience = AbortSignal.timeout(PATIENCE_MS);
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: method === "POST" ? JSON.stringify(body ?? {}) : undefined,
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal("The service does not answer. Check your connection, and that the function app runs.");
  }
  if (response.ok) return response;
  if (response.status === 401 || response.status === 403) {
    throw new KeyRefused(
      method === "POST"
        ? "This key may not act. Sign in with the key of the function operate as well; the key of observe only reads."
        : "The service did not accept this key. It may be mistyped, or it was renewed. Sign in with the present one.",
      { status: response.status },
    );
  }
  throw await readProblem(response);
}

/** What a problem document (RFC 9457) says; anything else by its status. */
async function readProblem(response) {
  const status = response.status;
  try {
    const problem = await response.json();
    const errors = (problem.errors ?? []).map((each) => [each.pointer, each.detail].filter(Boolean).join(": "));
    if (problem.detail) return new Refusal(problem.detail, { status, errors });
  } catch {
    // Not ours: from the platform, or from something between.
  }
  return new Refusal(
    status >= 500
      ? `The service failed (${status}). Nothing is lost; try again, and look at its log if it stays.`
      : `The service answered ${status}.`,
    { status },
  );
}
