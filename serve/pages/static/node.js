// The node itself: what it cannot see, its GPUs, and what watches them.
import { html } from "./ui.js";
import { Name, Time, duration, jobAddress, known, percent, plural, quantity, shown } from "./format.js";
import { Bar, Blindness, Facts, Missing, State, Table } from "./parts.js";
import { BLIND } from "./words.js";
import { worst } from "./jobs.js";

const asked = html`<p class="waiting" role="status">Asking …</p>`;

export function Blind({ status, live, node }) {
  if (!status) return asked;
  const blinds = status.blind ?? [], bad = (status.sources ?? []).filter((one) => !one.ok);
  const jobs = (live.get("v1/jobs").data?.jobs ?? []).filter((job) => job.blind?.length || worst(job)[1]?.abstains_for);
  return html`<h1>Blindness</h1><p>What cannot be seen is unknown, not innocent. While one holds for a job, nothing is done to it, its ladder stands still, and its time is metered as blind.</p>
    ${blinds.length ? [...new Set(blinds.map((one) => one.kind))].map((kind) => html`<section class="wash"><h2 class="first"><span class="blind">${shown(kind, 30)}</span></h2>
      <p>${BLIND[kind]?.[0] ?? ""} <b>${BLIND[kind]?.[1] ?? ""}</b> <small>docs/runbook.md, Blindness, ${shown(kind, 30)}</small></p>
      <${Table} caption=${`Of what: ${shown(kind, 30)}`} quiet=${true} kind="cards" heads=${["Of what", "Why", "Since"]} rows=${blinds.filter((one) => one.kind === kind).map((one) => ({
        key: one.subject, cells: [html`<${Name} value=${one.subject} longest=${100} otherwise="the whole node" />`, shown(one.detail || "–", 300), html`<${Time} unix_s=${one.began_unix_s} />`] }))} /></section>`)
      : html`<p class="wash clear"><${State} state="clear" /> The agent knows of nothing that is hidden from it now.</p>`}
    ${jobs.length ? html`<h2>Jobs that cannot be judged now</h2><${Table} caption="Jobs that cannot be judged" quiet=${true} kind="cards" heads=${["Job", "State", "Why"]} rows=${jobs.map((job) => ({ key: job.job, cells: [
      html`<a class="row" href=${jobAddress(job.job, node)}><${Name} value=${job.job} /></a>`, html`<${State} state=${worst(job)[1]?.state} />`, html`<${Blindness} kinds=${job.blind} /> ${shown(worst(job)[1]?.abstains_for ?? "", 200)}`] }))} />` : ""}
    <h2>Sources</h2><${Table} caption="Sources of samples" quiet=${true} heads=${["Source", "Answers", "Its words"]} rows=${(status.sources ?? []).map((one) => ({ key: one.name, cells: [shown(one.name, 40), one.ok ? "yes" : html`<b>no</b>`, shown(one.error || "–", 300)] }))} />
    ${bad.length ? "" : html`<p class="none">All sources that were asked for answer.</p>`}
    ${status.damaged?.length ? html`<h2>Damaged files</h2><ul>${status.damaged.map((one) => html`<li>${shown(one, 200)}</li>`)}</ul>` : ""}
    <details><summary>All kinds of blindness, and what to do</summary><dl>${Object.entries(BLIND).map(([kind, [means, todo]]) => html`<div><dt>${kind}</dt><dd>${means} ${todo}</dd></div>`)}</dl></details>`;
}

export function Gpus({ live, node }) {
  const page = live.get("v1/gpus");
  if (!page.data) return html`<${Missing} page=${page} what="the GPUs" />`;
  const jobs = new Map((live.get("v1/jobs").data?.jobs ?? []).map((job) => [job.job, job]));
  const share = (value) => (known(value) ? html`<${Bar} value=${value} />` : html`<span class="none">–</span>`);
  const rows = page.data.gpus.map((gpu) => ({ key: gpu.gpu, cells: [
    known(gpu.index) ? html`<b>${shown(gpu.index, 10)}</b> ${shown(gpu.name || "GPU", 40)}${gpu.mig ? html` <small>MIG</small>` : ""}<span class="below"><${Name} value=${gpu.alias || gpu.gpu} longest=${44} /></span>` : html`<b><${Name} value=${gpu.gpu} longest=${44} /></b>`,
    gpu.jobs.length ? gpu.jobs.map((name) => html`<span class="below"><${State} state=${jobs.get(name)?.verdicts?.[gpu.gpu]?.state} /> <a class="row" href=${jobAddress(name, node)}><${Name} value=${name} longest=${44} /></a></span>`) : html`<span class="none">free</span>`,
    share(gpu.now?.gpu_util_ratio), share(gpu.now?.sm_active_ratio), share(gpu.now?.integer_active_ratio), share(gpu.now?.tensor_active_ratio), share(gpu.now?.fb_used_ratio), quantity(gpu.now?.power_watts, "watts"), quantity(gpu.now?.temperature_celsius, "celsius"),
  ] }));
  return html`<h1>GPUs</h1>${rows.length ? html`<${Table} caption="GPUs and MIG instances, newest samples" kind="cards" heads=${["GPU", "Jobs", "Used", "SM active", "Integer", "Tensor", "Memory held", "Power", "Temperature"]} rows=${rows} />`
    : html`<p class="panel">No GPU is seen. Does the source answer? See Blindness.</p>`}`;
}

export function About({ status }) {
  if (!status) return asked;
  const { model = {}, policy = {} } = status, test = (status.steps ?? []).find((step) => /self-test/.test(step.name));
  return html`<h1>About this agent</h1><div class="panel"><${Facts} rows=${[
    ["Node", html`<${Name} value=${status.node} />`], ["hashwarden", shown(status.version, 30)], ["Model", `${shown(model.name, 30)} ${shown(model.version, 30)}${status.model_outdated ? `, outdated: ${shown(status.model_outdated, 200)}` : ""}`],
    ["Model SHA-256", html`<code>${shown(model.sha256, 80)}</code>`], ["Policy", policy.mode === "enforce" ? "in force" : "a dry run: all is told, nothing asked for"], ["Policy SHA-256", html`<code>${shown(policy.sha256, 80)}</code>`],
    ["Bound", known(status.alpha) ? `at most ${percent(status.alpha, 1)} of honest jobs are ever confirmed, if the model is calibrated on runs like yours` : "–"], ["Period", duration(status.period_s)],
    ["Self-test", status.blind?.some((one) => one.kind === "self-test") ? html`<b>failed: nothing that it says counts</b>` : test ? `gave its known answers (${test.seconds} s)` : "–"], ["Ready", status.ready?.ready ? "yes" : html`<b>no: see Blindness</b>`],
    ["Sources", (status.sources ?? []).map((one) => `${shown(one.name, 30)}${one.ok ? "" : " (down)"}`).join(", ") || "none"], ["Asked", html`<${Time} unix_s=${status.unix_s} />`],
  ]} /></div>
  ${status.steps?.length ? html`<h2>How it started</h2><${Table} caption="Start-up steps" quiet=${true} heads=${["Step", "Seconds"]} rows=${status.steps.map((step) => ({ key: step.name, cells: [shown(step.name, 80), String(step.seconds)] }))} />` : ""}
  <h2>Limits</h2><p>A verdict is evidence, not proof of intent. Counters are per GPU, never per process: on a GPU that several jobs share only the code tier can name the culprit. Hash work that is no mining runs the same instructions. docs/evidence.md says what is proved, and what is assumed.</p>
  <h2>Of others</h2><p>Preact 10.29.8 (MIT) and htm 3.1.1 (Apache-2.0) are part of these pages; licences and hashes lie beside them in <a href="vendor/VENDORED.json">vendor/</a>.</p>`;
}
