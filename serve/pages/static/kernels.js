// What a job launched, and what its machine code is made of, as a picture.
import { html } from "./ui.js";
import { Name, known, percent, probability, shown } from "./format.js";
import { Bar, Table } from "./parts.js";
import { MixBar } from "./charts.js";
import { MIX } from "./words.js";

const NAMES = MIX.map(([name]) => name);

// Shares that add up to one; what is left is other.
export function partsOf(mix) {
  const parts = NAMES.slice(0, -1).map((name) => [name, Math.min(Math.max(known(mix?.[name]) ? mix[name] : 0, 0), 1)]);
  const sum = parts.reduce((all, [, share]) => all + share, 0), scale = sum > 1 ? 1 / sum : 1;
  return [...parts.map(([name, share]) => [name, share * scale]), ["other", Math.max(0, 1 - sum)]];
}

function wordsOf(mix) {
  const parts = partsOf(mix).filter(([, share]) => share >= 0.01).sort(([, a], [, b]) => b - a);
  return parts.map(([name, share]) => `${MIX.find(([each]) => each === name)[1].toLowerCase()} ${percent(share)}`).join(", ");
}

// All launches together, from the channels of the code tier: the last value of each.
function whole(channels) {
  const mix = {};
  for (const name of [...NAMES, "dependent_load"]) {
    const value = channels?.channels[`code_${name}_ratio`]?.findLast(known);
    if (known(value)) mix[name] = value;
  }
  return Object.keys(mix).length ? mix : null;
}

export function Kernels({ page, channels, ended }) {
  const kernels = page.data?.kernels ?? [], all = whole(channels), ratio = page.data?.known_ratio;
  const rows = kernels.map((kernel, place) => ({ key: `${kernel.code_sha1} ${place}`, cells: [
    html`<span class="kernel-name"><${Name} value=${kernel.name} longest=${90} /></span><span class="below">sm_${shown(kernel.arch, 6)} · <code>${shown(kernel.code_sha1, 16)}</code></span>`,
    html`<${Bar} value=${kernel.p_mining} kind="mining" words=${probability(kernel.p_mining)} />`, probability(kernel.p_hash),
    html`<${Bar} value=${kernel.thread_ratio} words=${percent(kernel.thread_ratio, 1)} />`,
    html`<${MixBar} parts=${partsOf(kernel.mix)} words=${wordsOf(kernel.mix)} />${known(kernel.mix?.dependent_load) && kernel.mix.dependent_load >= 0.01
      ? html`<span class="below">${percent(kernel.mix.dependent_load)} of its loads follow loaded addresses</span>` : ""}`,
  ] }));
  return html`<section aria-labelledby="kernels"><h2 id="kernels">Kernels <small>${known(ratio) ? `machine code known of ${percent(ratio)} of the launches` : ""}</small></h2>
    ${rows.length || all ? html`<ul class="key">${MIX.map(([name, words, more]) => html`<li title=${more}><svg aria-hidden="true"><rect class="part ${name}" width="26" height="12" /></svg>${words}</li>`)}</ul>` : ""}
    ${all ? html`<div class="panel"><p>All launches together, weighted by threads: ${wordsOf(all)}.</p><${MixBar} parts=${partsOf(all)} words=${`All launches: ${wordsOf(all)}`} /></div>` : ""}
    ${rows.length ? html`<${Table} caption="Kernels, heaviest first" kind="cards kernels" heads=${["Kernel", "p(mining)", "p(hash)", "Threads", "Instruction mix"]} rows=${rows} />`
      : html`<p class="none">${ended ? "The kernels of a job that ended stand in its evidence bundle." : all && page.data ? "Which single kernels they were is not known here: a trace holds only their sum." : shown(page.data?.note || page.error || "Asking …", 300)}</p>`}</section>`;
}
