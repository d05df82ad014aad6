// One job: verdict in words, evidence over time, what it is like, its channels and kernels.
import { html, Component } from "./ui.js";
import { Name, Time, caseAddress, clock, duration, known, percent, probability, shown } from "./format.js";
import { Bar, Blindness, Facts, Missing, State, Table } from "./parts.js";
import { EvidenceChart, Sized, stretches } from "./charts.js";
import { Channels } from "./channels.js";
import { Kernels } from "./kernels.js";
import { worst } from "./jobs.js";
import { STATE_WORDS } from "./words.js";

const key = (name) => encodeURIComponent(name);

// The channels are asked for when it is known on which GPU.
let chosen = "";
export function jobNeeds(name) {
  const needs = { [`v1/job?key=${key(name)}`]: 2000, [`v1/job/kernels?key=${key(name)}`]: 10000 };
  if (chosen && chosen.startsWith(`${name}\n`)) needs[channelsOf(name, chosen.slice(name.length + 1))] = 10000;
  return needs;
}
const channelsOf = (name, gpu) => `v1/job/channels?key=${key(name)}&gpu=${key(gpu)}`;

export class Job extends Component {
  constructor() { super(); this.state = { gpu: null }; }

  componentDidUpdate() { this.choose(); }
  componentDidMount() { this.choose(); }

  choose(gpu = this.gpu()) {
    const wanted = gpu === null ? "" : `${this.props.name}\n${gpu}`;
    if (wanted && wanted !== chosen) { chosen = wanted; this.props.onWant(); }
  }

  gpu() {
    const job = this.props.live.get(`v1/job?key=${key(this.props.name)}`).data, { gpu } = this.state;
    if (!job) return null;
    return gpu !== null && job.verdicts?.[gpu] ? gpu : worst(job)[0];
  }

  render({ live, name, node }) {
    const page = live.get(`v1/job?key=${key(name)}`), job = page.data;
    if (!job) return html`<${Missing} page=${page} what=${`no job is called ${name}`} back=${[`#${node}/jobs`, "To the jobs"]} />`;
    const gpu = this.gpu(), verdict = job.verdicts?.[gpu], full = job.verdicts_full?.[gpu], gpus = Object.keys(job.verdicts ?? {});
    return html`<p class="crumb"><a href="#${node}/jobs">Jobs</a></p><div class="head"><h1><${Name} value=${job.job} longest=${120} /></h1>
        ${job.ended_unix_s ? html`<span>ended <${Time} unix_s=${job.ended_unix_s} />, as it was seen last</span>` : ""}</div>
      ${gpus.length > 1 ? html`<p><label>GPU <select value=${gpu} onChange=${(event) => { this.setState({ gpu: event.target.value }); this.choose(event.target.value); }}>
        ${gpus.map((one) => html`<option value=${one}>${shown(one, 60)} – ${job.verdicts[one].state}</option>`)}</select></label></p>` : ""}
      <${Verdict} job=${job} verdict=${verdict} full=${full} node=${node} />
      <div class="split"><div><${Evidence} history=${job.history?.[gpu]} full=${full} /></div>
        <div><${Classes} verdict=${verdict} /><${Spent} seconds=${job.gpu_seconds} /></div></div>
      <${Channels} page=${live.get(channelsOf(name, gpu ?? ""))} full=${full} ended=${job.ended_unix_s} />
      <${Kernels} page=${live.get(`v1/job/kernels?key=${key(name)}`)} channels=${live.get(channelsOf(name, gpu ?? "")).data} ended=${job.ended_unix_s} />
      <${About} job=${job} gpu=${gpu} full=${full} />`;
  }
}

function Verdict({ job, verdict, full, node }) {
  if (!verdict) return html`<div class="wash"><${State} state="" /><p>No verdict yet: no sample of this job was judged.</p><${Blindness} kinds=${job.blind} /></div>`;
  const { state, reasons = [], family, family_probability: share } = verdict;
  return html`<section class="wash ${state}" aria-label="Verdict"><p><${State} state=${state} />${" "}${verdict.likeliest ? html`most like <b>${shown(verdict.likeliest, 40)}</b> (${probability(verdict.probabilities?.[verdict.likeliest])})` : ""}${
      family ? html`, family <b>${shown(family, 40)}</b> (${probability(share)} if it mines)` : ""}</p>
    ${verdict.abstains_for ? html`<p><b>Nothing new can be said:</b> ${shown(verdict.abstains_for, 300)}</p>` : ""}
    <ul>${(reasons.length ? reasons.filter((words) => words !== verdict.abstains_for) : [STATE_WORDS[state] ?? ""]).map((words) => html`<li>${shown(words, 400)}</li>`)}</ul>
    ${full?.evidence?.beyond_calibration ? html`<p>It was watched for longer than the calibration runs: the bound rests on more than they show.</p>` : ""}
    <p><${Blindness} kinds=${job.blind} /> ${job.shared ? "The GPU is shared. " : ""}${verdict.borrowed ? "It rests on sessions that ended: what runs now was not seen to do it. " : ""}${
      job.cases?.length ? html`${job.cases.length === 1 ? "Case" : "Cases"} ${job.cases.map((id) => html`<a href=${caseAddress(id, node)}>${shown(id, 20)}</a> `)}` : "No case."}</p></section>`;
}

function Evidence({ history, full }) {
  if (!history || history.unix_s.length < 2) return html`<h2>Evidence over time</h2><p class="none">Too few points yet.</p>`;
  const spans = stretches(history.state);
  return html`<section><h2>Evidence over time <small>${full ? `of mining; alpha ${full.alpha}` : ""}</small></h2>
    <div class="panel"><${Sized} draw=${(width) => html`<${EvidenceChart} history=${history} width=${width} />`} />
    <ul class="key"><li><svg aria-hidden="true"><path class="line" d="M0 6H26" /></svg>evidence, of what confirms (logarithmic)</li>
      <li><svg aria-hidden="true"><path class="mining" d="M0 6H26" /></svg>p(mining) now</li><li>the band below: the state, from where it rose</li></ul>
    ${full ? html`<${Levels} evidence=${full.evidence} />` : ""}</div>
    <details><summary>As a table: how the state went</summary><${Table} caption="Changes of the state" heads=${["From", "State", "Evidence then", "Most like"]} rows=${spans.map(([state, at]) => ({
      key: at, cells: [clock(history.unix_s[at]), html`<${State} state=${state} />`, percent(history.strength[at]), shown(history.likeliest[at] || "–", 30)] }))} /></details></section>`;
}

// The three states have bets of their own, so that each has its own way to its threshold.
function Levels({ evidence }) {
  return html`<div class="multiples" role="group" aria-label="How far each state is">${["watching", "suspect", "confirmed"].map((state) => {
    const way = Math.log(evidence.evidence[state]) / Math.log(evidence.thresholds[state]), share = Math.min(Math.max(way, 0), 1);
    return html`<div><${State} state=${state} /><${Bar} value=${share} words=${share >= 1 ? "reached" : percent(share)} /></div>`;
  })}</div>`;
}

function Classes({ verdict }) {
  const rows = Object.entries(verdict?.probabilities ?? {}).sort(([, a], [, b]) => b - a);
  return html`<section><h2>What it is like <small>last minute</small></h2>${rows.length ? html`<${Table} caption="Probability of each class" quiet=${true} heads=${["Class", "Probability"]}
    rows=${rows.map(([name, value]) => ({ key: name, cells: [shown(name, 30), html`<${Bar} value=${value} kind=${name === "mining" ? "mining" : ""} words=${probability(value)} />`] }))} />` : html`<p class="none">nothing yet</p>`}</section>`;
}

function Spent({ seconds }) {
  const rows = Object.entries(seconds ?? {}).sort(([, a], [, b]) => b - a), sum = rows.reduce((all, [, value]) => all + value, 0);
  if (!sum) return null;
  return html`<section><h2>GPU time <small>by what it was most like</small></h2><${Table} caption="GPU time by class" quiet=${true} heads=${["Class", "Time"]}
    rows=${rows.map(([name, value]) => ({ key: name, cells: [shown(name, 30), html`<${Bar} value=${value / sum} words=${duration(value)} />`] }))} /></section>`;
}

function About({ job, gpu, full }) {
  const name = (value) => html`<${Name} value=${value} longest=${100} />`;
  return html`<section><h2>About the job</h2><div class="panel"><${Facts} rows=${[
    ["Kind", shown(job.kind, 30)], ["User", html`${name(job.user)}${known(job.uid) && job.uid >= 0 ? ` (${job.uid})` : ""}`], job.account && ["Account", name(job.account)],
    job.partition && ["Partition", name(job.partition)], job.namespace && ["Namespace", name(job.namespace)], job.pod && ["Pod", name(job.pod)],
    job.container && ["Container", name(job.container)], ["Name", name(job.name)], job.tenant && ["Tenant", name(job.tenant)], ["GPU", name(gpu)],
    ["Began", html`<${Time} unix_s=${job.started_unix_s} />`], ["Interactive", job.interactive ? "yes" : "no"], ["Watched for", duration(job.verdicts?.[gpu]?.watched_s)],
    ["What was seen", shown(job.verdicts?.[gpu]?.tier || "nothing that is calibrated", 40)], full && ["Novelty", `${full.novelty} (about 1: known)`],
    full?.model?.version && ["Model", html`${shown(full.model.name, 30)} ${shown(full.model.version, 30)} <code title=${full.model.sha256}>${shown(full.model.sha256, 100).slice(0, 12)}</code>`],
  ]} /></div></section>`;
}
