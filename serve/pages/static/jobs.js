// All jobs: what weighs most first, why in words, and what cannot be seen.
import { html, Component, remember, remembered } from "./ui.js";
import { Name, Time, caseAddress, duration, jobAddress, percent, plural, shown } from "./format.js";
import { Blindness, Likeliest, Missing, Shape, State, Table, openRow } from "./parts.js";
import { Spark } from "./charts.js";
import { STATES, STATE_WORDS, rank } from "./words.js";

// The GPU that weighs most speaks for its job.
export function worst(job) {
  const each = Object.entries(job.verdicts ?? {});
  each.sort(([, a], [, b]) => rank(a.state) - rank(b.state) || (b.strength ?? 0) - (a.strength ?? 0));
  return each[0] ?? ["", null];
}

const COLUMNS = [
  ["state", "State", (row) => [rank(row.verdict?.state), -(row.verdict?.strength ?? 0)]],
  ["job", "Job", (row) => [row.job.job]],
  ["user", "User", (row) => [row.job.user || row.job.namespace || ""]],
  ["gpus", "GPUs", (row) => [-(row.job.gpus?.length ?? 0)]],
  ["likeliest", "Likeliest", (row) => [row.verdict?.likeliest ?? "~", -(row.verdict?.probabilities?.[row.verdict?.likeliest] ?? 0)]],
  ["evidence", "Evidence", (row) => [-(row.verdict?.strength ?? -1)]],
  ["why", "Why", null],
  ["case", "Case", (row) => [row.job.case || "~"]],
];

function compared(a, b) {
  for (let place = 0; place < a.length; place += 1) {
    if (a[place] !== b[place]) return a[place] < b[place] ? -1 : 1;
  }
  return 0;
}

const searched = (job) => [job.job, job.user, job.account, job.partition, job.namespace, job.pod, job.container, job.name, job.tenant,
  job.case, ...(job.gpus ?? []), ...(job.blind ?? []), ...Object.values(job.verdicts ?? {}).flatMap((v) => [v.state, v.likeliest, v.family])].join(" ").toLowerCase();

export class Jobs extends Component {
  constructor() {
    super();
    this.state = { text: "", states: [], by: "state", down: false, ended: remembered("ended", false) };
  }

  // Hundreds of rows are drawn when there is something new, not at each beat of the clock.
  stamp() { return ["v1/jobs", "v1/ended"].map((path) => { const page = this.props.live.get(path); return `${page.at} ${page.error}`; }).join(" "); }
  shouldComponentUpdate(_, state) { return state !== this.state || this.stamp() !== this.drawn; }

  sort(by) { this.setState(({ by: now, down }) => ({ by, down: now === by ? !down : false })); }

  rows(jobs) {
    const { text, states, by, down } = this.state, words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const order = COLUMNS.find(([name]) => name === by)[2];
    const rows = jobs.map((job) => { const [gpu, verdict] = worst(job); return { job, gpu, verdict }; })
      .filter(({ job, verdict }) => (!states.length || states.includes(verdict?.state ?? "abstain")) && words.every((word) => searched(job).includes(word)));
    rows.sort((a, b) => (compared(order(a), order(b)) || compared([a.job.job], [b.job.job])) * (down ? -1 : 1));
    return rows;
  }

  render({ live, node, onWant }, { text, states, by, down, ended }) {
    this.drawn = this.stamp();
    const page = live.get("v1/jobs"), over = live.get("v1/ended");
    if (!page.data) return html`<${Missing} page=${page} what="the jobs" />`;
    const jobs = [...page.data.jobs, ...(ended && over.data ? [...over.data.jobs].reverse() : [])], rows = this.rows(jobs);
    const counts = Object.fromEntries(STATES.map((state) => [state, jobs.filter((job) => (worst(job)[1]?.state ?? "abstain") === state).length]));
    const heads = COLUMNS.map(([name, words, order]) => html`<th scope="col" label=${words} aria-sort=${by === name ? (down ? "descending" : "ascending") : null}>
      ${order ? html`<button class="sort" onClick=${() => this.sort(name)}>${words}${by === name ? (down ? " ↓" : " ↑") : ""}</button>` : words}</th>`);
    return html`<h1 class="unseen">Jobs</h1><div class="filters" role="search">
      <label><span class="unseen">Filter jobs</span><input id="filter" type="search" placeholder="Filter: user, job, class, GPU …   /" value=${text} onInput=${(event) => this.setState({ text: event.target.value })} /></label>
      <div class="chips" role="group" aria-label="States">${STATES.map((state) => html`<button class="chip" aria-pressed=${String(states.includes(state))} title=${STATE_WORDS[state]}
        onClick=${() => this.setState({ states: states.includes(state) ? states.filter((each) => each !== state) : [...states, state] })}>
        <span class="state ${state}"><${Shape} state=${state} />${state}</span> ${counts[state]}</button>`)}</div>
      <label><input type="checkbox" checked=${ended} onChange=${(event) => { remember("ended", event.target.checked); this.setState({ ended: event.target.checked }); onWant(); }} /> ended ones too</label>
      <span role="status" aria-live="polite">${rows.length === jobs.length ? plural(jobs.length, "job") : `${rows.length} of ${plural(jobs.length, "job")}`}</span></div>
      ${ended && over.error ? html`<p role="alert">Ended jobs: ${shown(over.error, 300)}</p>` : ""}
      ${rows.length ? html`<${Table} caption="Jobs by evidence" quiet=${true} kind="jobs cards" heads=${heads} onRow=${openRow} rows=${rows.map((row) => cells(row, node))} />`
        : html`<p class="panel">${jobs.length ? "No job fits the filter." : "No job runs on the GPUs of this node that the agent knows of."}</p>`}`;
  }
}

function cells({ job, gpu, verdict }, node) {
  const gpus = job.gpus?.length || Object.keys(job.verdicts ?? {}).length, over = job.ended_unix_s;
  return { key: `${job.job} ${over ?? ""}`, kind: over ? "ended" : verdict?.state ?? "", head: 1, cells: [
    html`<span><${State} state=${verdict?.state} />${over ? html`<span class="below">ended <${Time} unix_s=${over} /></span>` : ""}</span>`,
    html`<span><a class="row job-name" href=${jobAddress(job.job, node)}><${Name} value=${job.job} /></a>${
      job.name && !job.job.endsWith(job.name) ? html`<span class="below"><${Name} value=${job.name} /></span>` : ""}</span>`,
    html`<span><${Name} value=${job.user || job.namespace} longest=${32} />${job.account ? html`<span class="below"><${Name} value=${job.account} longest=${32} /></span>` : ""}</span>`,
    html`<span>${gpus || "–"}${job.shared ? html` <small>shared</small>` : ""}</span>`,
    html`<${Likeliest} verdict=${verdict} />`,
    html`<span class="evidence-cell" title="Of what confirms. The states before have bets of their own: see the job."><${Spark} values=${verdict?.trend} state=${verdict?.state} />${percent(verdict?.strength)}</span>`,
    html`<span class="why"><${Blindness} kinds=${job.blind} />${verdict?.abstains_for ? html`<span>${shown(verdict.abstains_for, 200)}</span>` : ""}
      ${(verdict?.reasons ?? []).filter((words) => words !== verdict.abstains_for).slice(0, 2).map((words) => html`<span>${shown(words, 170)}</span>`)}</span>`,
    job.case ? html`<a class="id" href=${caseAddress(job.case, node)}>${shown(job.case, 20)}</a>` : html`<span class="none">none</span>`,
  ] };
}
