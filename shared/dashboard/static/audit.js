// Who did what: every action of a person, and every configuration that came into force.

import { read } from "./api.js";
import { pagedPart } from "./accounts.js";
import { anything, element, link, moment, table, words } from "./elements.js";
import { label } from "./words.js";

export async function showAudit(stage) {
  stage.title("Who did what");
  const list = pagedPart(stage, {
    ask: (cursor) => read("audit", { limit: 50, cursor }, stage.signal),
    draw: (records) =>
      table({
        caption: "Actions, newest first; they are kept for 400 days",
        rows: records,
        empty: "Nobody did anything yet.",
        columns: [
          { head: "When", cell: (each) => moment(each.at) },
          { head: "Who", cell: (each) => [words(each.actor), each.is_verified ? " (signed in)" : ""] },
          { head: "What", cell: (each) => words(label(each.action)) },
          { head: "Application", cell: (each) => (each.application ? link(["applications", each.application], each.application) : "") },
          { head: "Details", cell: (each) => (Object.keys(each.detail).length ? anything(each.detail) : "") },
          { head: "Result", cell: (each) => (each.result ? words(each.result) : "never finished") },
          { head: "From", cell: (each) => words([each.via, each.address].filter(Boolean).join(", ")) },
        ],
      }),
  });
  stage.put(element("p", {}, "A name is what the holder of the key gave, unless it says that the platform signed them in."), list.node);
  await list.start();
}
