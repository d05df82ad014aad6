// The keys, and the rows that they move over.
import { html, Component, remember, remembered } from "./ui.js";

export const LETTERS = { 1: "jobs", 2: "cases", 3: "blind", 4: "gpus", 5: "policy", 6: "about" };

// The links of rows are where the focus goes; Enter opens what has it, as everywhere.
export function moveRow(by) {
  const rows = [...document.querySelectorAll("main a.row")];
  if (!rows.length) return;
  const now = rows.indexOf(document.activeElement);
  const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(now + by, 0), rows.length - 1);
  rows[next].focus();
  rows[next].closest("tr")?.scrollIntoView({ block: "nearest" });
}

const KEYS = [["j k", "next and previous row"], ["Enter", "open the row"], ["/", "filter"], ["Escape", "leave the filter; back to the list"],
  ["1 … 6", "jobs, cases, blindness, GPUs, policy, about"], ["t", "theme: system, light, dark"], ["← →", "read a chart point by point"], ["?", "these keys"]];

export class Help extends Component {
  render() {
    const keys = remembered("keys", true);
    return html`<dl class="keys">${KEYS.map(([key, words]) => html`<dt>${key.split(" ").map((each) => (each === "…" ? " … " : html`<kbd>${each}</kbd> `))}</dt><dd>${words}</dd>`)}</dl>
      <p><label><input type="checkbox" checked=${keys} onChange=${(event) => { remember("keys", event.target.checked); this.setState({}); }} /> Keys of one letter are heeded</label></p>
      <p>A verdict is evidence, not proof of intent. What an agent cannot see is unknown, not innocent.</p>
      <form method="dialog" class="buttons"><button class="main">Close</button></form>`;
  }
}
