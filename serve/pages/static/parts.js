// Small parts that all views share: states with their shapes, bars, facts, dialogs.
import { html, Component, createRef } from "./ui.js";
import { probability, shown, known, percent } from "./format.js";
import { STATES } from "./words.js";

// A shape for each state, so that colour is never needed: open circle, half circle, triangle, octagon, dashed circle.
const SHAPES = {
  clear: html`<circle cx="8" cy="8" r="5.5" fill="none" />`,
  watching: html`<circle cx="8" cy="8" r="5.5" fill="none" /><path d="M8 2.5a5.5 5.5 0 0 1 0 11z" class="full" />`,
  suspect: html`<path d="M8 2.2 14.3 13.4H1.7z" fill="none" /><path d="M8 6.3v3.2M8 11v1.2" />`,
  confirmed: html`<path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z" class="full" /><path d="M8 4.2v4.6M8 10.5v1.6" class="inner" />`,
  abstain: html`<circle cx="8" cy="8" r="5.5" fill="none" stroke-dasharray="2.2 2" />`,
};

export function Shape({ state }) {
  return html`<svg class="shape" viewBox="0 0 16 16" aria-hidden="true">${SHAPES[state] ?? SHAPES.abstain}</svg>`;
}

export function State({ state, more }) {
  const word = STATES.includes(state) ? state : "no verdict";
  return html`<span class="state ${word.replace(" ", "-")}"><${Shape} state=${state} />${word}${more ? html` <small>${more}</small>` : ""}</span>`;
}

export function Bar({ value, kind = "", words }) {
  const width = known(value) ? Math.min(Math.max(value, 0), 1) : 0;
  return html`<span class="bar ${kind}"><svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="track" width="100" height="8" /><rect class="fill" width=${100 * width} height="8" /></svg>
    <span class="value">${words ?? percent(value)}</span></span>`;
}

export function Likeliest({ verdict }) {
  if (!verdict?.likeliest) return html`<span class="none">none yet</span>`;
  const value = verdict.probabilities?.[verdict.likeliest];
  return html`<span class="likeliest">${shown(verdict.likeliest, 30)} <b>${probability(value)}</b>
    ${verdict.family ? html`<small>${shown(verdict.family, 30)}</small>` : ""}</span>`;
}

export function Facts({ rows }) {
  return html`<dl class="facts">${rows.filter(Boolean).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

// A table that becomes a list of cards where there is no room for columns; the first cell is the row's head.
export function Table({ caption, heads, rows, kind = "", quiet = false, onRow }) {
  return html`<div class="wide" tabindex=${rows.length > 12 ? 0 : null} role=${rows.length > 12 ? "region" : null} aria-label=${rows.length > 12 ? caption : null}>
    <table class=${kind}><caption class=${quiet ? "unseen" : ""}>${caption}</caption>
    <thead><tr>${heads.map((head) => (typeof head === "string" ? html`<th scope="col">${head}</th>` : head))}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.key} class=${row.kind ?? ""} onClick=${onRow ? (event) => onRow(event, row) : null}>
      ${row.cells.map((cell, place) => {
        const head = heads[place], label = typeof head === "string" ? head : head.props.label;
        return place === (row.head ?? 0) ? html`<th scope="row" data-label=${label}><div>${cell}</div></th>` : html`<td data-label=${label}><div>${cell}</div></td>`;
      })}</tr>`)}</tbody></table></div>`;
}

// A click anywhere on a row opens its link, unless something was selected or another link was meant.
export function openRow(event) {
  if (event.target.closest("a, button, input") || String(getSelection())) return;
  event.currentTarget.querySelector("a.row")?.click();
}

// The browser's own dialog: it keeps the focus, and Escape closes it.
export class Dialog extends Component {
  constructor() { super(); this.box = createRef(); }
  componentDidMount() { this.box.current.showModal(); }
  componentWillUnmount() { this.box.current?.close(); }
  render({ title, children, onClose }) {
    return html`<dialog ref=${this.box} aria-labelledby="dialog-title" onClose=${onClose}
      onClick=${(event) => { if (event.target === this.box.current) this.box.current.close(); }}>
      <div class="inside"><h2 id="dialog-title">${title}</h2>${children}</div></dialog>`;
  }
}

export function Missing({ page, what, back }) {
  if (!page.error && !page.data) return html`<p class="waiting" role="status">Asking …</p>`;
  return html`<section class="missing"><h1>${page.status === 404 ? "Not here" : page.status === 403 ? "Not allowed" : "No answer"}</h1>
    <p role="alert">${shown(page.error || what, 500)}</p>${back ? html`<p><a href=${back[0]}>${back[1]}</a></p>` : ""}</section>`;
}

export function Blindness({ kinds }) {
  return kinds?.length ? html`<span class="blind" title="Nothing is done while this holds">blind: ${kinds.map((k) => shown(k, 30)).join(", ")}</span>` : null;
}
