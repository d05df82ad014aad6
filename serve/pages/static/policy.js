// A policy tried before it is in force: what it would have done to whom, and when.
import { html, Component, remembered, remember } from "./ui.js";
import { Name, duration, known, shown } from "./format.js";
import { State, Table } from "./parts.js";
import { Sized, timeTicks } from "./charts.js";
import { answerOf } from "./live.js";
import { rank } from "./words.js";

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
const at = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export class Policy extends Component {
  constructor() {
    super();
    this.state = { page: null, away: "", text: "", what: "run:", speed: 10, approve: true, check: null, result: null, error: "", busy: false };
  }

  componentDidMount() { this.componentDidUpdate(); }

  // Only where the page is hosted by a dashboard is there somebody who tries policies.
  componentDidUpdate() {
    if (this.props.policies && !this.begun) { this.begun = true; this.begin(); }
  }

  componentWillUnmount() { this.gone = true; clearTimeout(this.timer); }

  async begin() {
    const found = await answerOf(`${this.props.live.base}v1/policy/replay`);
    if (this.gone) return;
    if (!found.ok) return this.setState({ away: found.error });
    const text = this.state.text || remembered("policy", "") || found.data.example;
    const live = this.props.live.get("v1/jobs").data?.jobs ?? [];
    const what = found.data.runs.length || !live.length ? this.state.what : `job:${live[0].job}`;
    this.setState({ page: found.data, text, what });
    if (!this.state.check) this.look(text);
    if (found.data.lists) { await pause(500); if (!this.gone) this.begin(); }
  }

  type(text) {
    this.setState({ text });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(text), 350);
  }

  async look(text) {
    remember("policy", text === this.state.page?.example ? "" : text);
    const found = await answerOf(`${this.props.live.base}v1/policy/check`, { policy: text });
    if (!this.gone) this.setState({ check: found.ok ? found.data : { good: false, error: found.error } });
  }

  async play(event) {
    event.preventDefault();
    const { text, what, speed, approve } = this.state, [kind, name] = [what.slice(0, 3), what.slice(4)];
    this.setState({ busy: true, error: "", result: null });
    const path = `${this.props.live.base}v1/policy/replay`;
    const begun = await answerOf(path, { policy: text, speed: Number(speed), approve, [kind]: name });
    let found = begun;
    while (begun.ok && !this.gone && found.ok && (found === begun || found.data.state === "running")) {
      await pause(250);
      found = await answerOf(`${path}/${begun.data.id}`);
    }
    if (this.gone) return;
    const error = found.ok ? found.data.error ?? "" : found.error;
    this.setState({ busy: false, error, result: error ? null : found.data });
  }

  jump(line) {
    const area = document.getElementById("policy"), lines = area.value.split("\n");
    const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  }

  render({ live, policies }, { page, away, text, what, speed, approve, check, result, error, busy }) {
    const head = html`<h1>Policy, tried on what was recorded</h1>`;
    if (policies === false) return html`${head}<p class="panel">Policies are tried where it costs the agent nothing: on your own machine. <code>hashwarden dashboard --trace FILE</code> shows this page; on a terminal it is <code>hashwarden policy test POLICY TRACE</code>.</p>`;
    if (away) return html`${head}<p class="alarm" role="alert">${shown(away, 300)}</p>`;
    if (!page) return html`${head}<p class="waiting" role="status">Asking …</p>`;
    const jobs = live.get("v1/jobs").data?.jobs ?? [];
    return html`${head}<p>Nothing is asked of anybody: the policy is rehearsed by the agent's own code, as if it were in force, with schedulers that do what they are asked for.</p>
      <form onSubmit=${(event) => this.play(event)}><label for="policy"><b>Policy</b> <small>TOML; docs/policy.md says what each setting means</small></label>
      <textarea id="policy" class="editor" spellcheck="false" aria-describedby="lint" value=${text} onInput=${(event) => this.type(event.target.value)}></textarea>
      <div id="lint" aria-live="polite">${!check ? "" : check.good
        ? html`<div class="lint ${check.remarks.length ? "some" : ""}"><b>Valid:</b> ${shown(check.says, 200)}${check.remarks.length ? html`<ul>${check.remarks.map((words) => html`<li>Remark: ${shown(words, 300)}</li>`)}</ul>` : ""}</div>`
        : html`<p class="lint bad"><b>Not valid.</b> ${shown(check.error, 600)} ${check.line ? html`<button type="button" onClick=${() => this.jump(check.line)}>To line ${check.line}</button>` : ""}</p>`}</div>
      <div class="filters"><label>On <select value=${what} onChange=${(event) => this.setState({ what: event.target.value })}>
          ${page.runs.length ? html`<optgroup label="Traces"><option value="run:">all ${page.runs.length} runs</option>${page.runs.map((run) => html`<option value=${`run:${run.run}`}>${shown(run.run, 70)}, ${duration(run.seconds)}</option>`)}</optgroup>` : html`<option value="run:" disabled>${page.lists ? "reading the traces …" : "no trace: give --trace FILE"}</option>`}
          ${jobs.length ? html`<optgroup label="The last minutes of a job that runs">${jobs.map((job) => html`<option value=${`job:${job.job}`}>${shown(job.job, 70)}</option>`)}</optgroup>` : ""}</select></label>
        <label>Clock of the policy <input type="number" min="1" max="1000" step="1" value=${speed} onInput=${(event) => this.setState({ speed: event.target.value })} /> times as fast</label>
        <label><input type="checkbox" checked=${approve} onChange=${(event) => this.setState({ approve: event.target.checked })} /> a person approves at once</label>
        <button class="main" disabled=${busy || check?.good === false}>${busy ? "Trying …" : "Try it"}</button></div></form>
      ${page.error ? html`<p class="alarm" role="alert">The traces cannot be used: ${shown(page.error, 400)}</p>` : ""}
      <div aria-live="polite">${error ? html`<p class="alarm" role="alert">${shown(error, 600)}</p>` : ""}${result ? html`<${Result} result=${result} />` : ""}</div>`;
  }
}

const SIGNS = { opened: "opened", standing: "standing", asked: "asked for", told: "told", waiting: "waits", done: "done", closed: "closed" };
const kindOf = (one) => (one.kind === "warn" ? "warn" : one.change === "asked" ? "asked" : one.change);

function Result({ result }) {
  const runs = [...result.runs].sort((a, b) => rank(a.worst) - rank(b.worst)), acted = runs.filter((run) => run.decisions.some((one) => one.change === "asked" && one.kind !== "warn")), warned = runs.filter((run) => run.decisions.some((one) => one.kind === "warn"));
  return html`<h2>What it would have done <small>policy ${shown(result.sha256, 12)}, its clock ${result.speed} times as fast</small></h2>
    <p>${runs.length} ${runs.length === 1 ? "run" : "runs"}: ${warned.length} would have been warned about, ${acted.length} acted on${acted.some((run) => run.label && run.label !== "mining") ? html`, <b>some of them labelled and not as mining</b>` : ""}.</p>
    <ul class="key"><li>○ opened or changed</li><li>▲ warned</li><li>◇ waits</li><li>■ asked for</li><li>| the job would have ended</li></ul>
    ${runs.map((run) => html`<section class="panel"><h3><${State} state=${run.worst} /> <${Name} value=${run.run} longest=${80} />${run.label ? html` <small>labelled ${shown(run.label, 30)}</small>` : ""}</h3>
      ${run.decisions.length ? html`<${Sized} draw=${(width) => html`<${Timeline} run=${run} width=${width} />`} />
        <details open=${runs.length === 1}><summary>${run.decisions.length} decisions${run.ended_s !== null ? `; ended at ${at(run.ended_s)}, ${duration(run.end_s - run.ended_s)} spared` : ""}</summary>
        <${Table} caption=${`Decisions about ${shown(run.run, 60)}`} quiet=${true} kind="cards" heads=${["At", "What", "In words", "Why"]} rows=${run.decisions.filter((one) => one.change !== "done").map((one, place) => ({
          key: place, cells: [at(one.time_s), html`<b>${SIGNS[one.change] ?? shown(one.change, 20)}</b>${one.kind ? ` ${shown(one.kind, 20)}` : ""}`, shown(one.words, 300), shown(one.reasons.slice(0, 1).join("; "), 200)] }))} /></details>`
        : html`<p class="none">Left alone for ${duration(run.end_s)}.</p>`}
      ${run.blind.length ? html`<p><span class="blind">blind: ${run.blind.map((one) => shown(one, 30)).join(", ")}</span></p>` : ""}</section>`)}`;
}

function Timeline({ run, width }) {
  const height = 56, end = Math.max(run.end_s, 1), x = (time) => 10 + (time / end) * (width - 20), stop = known(run.ended_s) ? run.ended_s : run.end_s;
  const shape = (one) => {
    const kind = kindOf(one), cx = x(one.time_s);
    if (kind === "warn") return html`<path class="mark warn" d="M${cx} 10l6 11h-12z" />`;
    if (kind === "asked") return html`<rect class="mark asked" x=${cx - 5} y="11" width="10" height="10" />`;
    if (kind === "waiting") return html`<path class="mark waiting" d="M${cx} 9l7 7-7 7-7-7z" />`;
    return html`<circle class="mark" cx=${cx} cy="16" r="5" />`;
  };
  const words = run.decisions.filter((one) => one.change !== "done").map((one) => `${at(one.time_s)} ${one.words}`).join("; ");
  return html`<svg class="trial" width=${width} height=${height} role="img" aria-label=${`Timeline: ${shown(words, 900)}`}>
    <line class="life" x1=${x(0)} x2=${x(stop)} y1="16" y2="16" />${known(run.ended_s) ? html`<line class="cut" x1=${x(stop)} x2=${x(stop)} y1="4" y2="30" />` : ""}
    ${run.decisions.filter((one) => !["done", "closed"].includes(one.change)).sort((a, b) => Number(kindOf(a) === "asked") - Number(kindOf(b) === "asked")).map(shape)}
    ${timeTicks(0, end, Math.max(2, width / 90)).map((time) => html`<text x=${x(time)} y="48" text-anchor=${time ? "middle" : "start"}>${at(time)}</text>`)}</svg>`;
}
