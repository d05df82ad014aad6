// Cases: what is held against whom, how far the ladder is, and decisions with a reason and a second question.
import { html, Component } from "./ui.js";
import { Name, Time, caseAddress, duration, jobAddress, plural, probability, shown } from "./format.js";
import { Dialog, Facts, Missing, State, Table, openRow } from "./parts.js";
import { answerOf } from "./live.js";
import { CLOSED, STEPS, STEP_STATES } from "./words.js";

const isOpen = (one) => one.closed_unix_s === null;

function Standing({ one }) {
  const { standing } = one;
  return ["confirmed", "suspect"].includes(standing) ? html`<${State} state=${standing} />` : html`<b>${standing === "quota" ? "quota used" : shown(standing, 20)}</b>`;
}

export class Cases extends Component {
  constructor() { super(); this.state = { text: "", closed: true }; }

  render({ live, node, status }, { text, closed }) {
    const page = live.get("v1/cases");
    if (!page.data) return html`<${Missing} page=${page} what="the cases" />`;
    const words = text.toLowerCase().split(/\s+/).filter(Boolean), every = [...page.data.cases].reverse();
    const found = every.filter((one) => (closed || isOpen(one)) && words.every((word) => JSON.stringify([one.id, one.job, one.standing, one.rule, one.waiting, one.closed_for]).toLowerCase().includes(word)));
    found.sort((a, b) => Number(isOpen(b)) - Number(isOpen(a)));
    const waits = status?.actions_waiting ?? [];
    return html`<h1 class="unseen">Cases</h1><div class="filters" role="search"><label><span class="unseen">Filter cases</span><input id="filter" type="search" placeholder="Filter: case, job, user, rule …   /" value=${text} onInput=${(event) => this.setState({ text: event.target.value })} /></label>
        <label><input type="checkbox" checked=${closed} onChange=${(event) => this.setState({ closed: event.target.checked })} /> closed ones too</label>
        <span role="status" aria-live="polite">${plural(every.filter(isOpen).length, "open case")}, ${every.filter((one) => /^approval of/.test(one.waiting)).length} waiting for a person</span></div>
      ${found.length ? html`<${Table} caption="Cases, open ones first" quiet=${true} kind="cards jobs" onRow=${openRow} heads=${["Case", "Standing", "Job", "Of", "Rule", "Waits for", "Steps done", "Opened"]} rows=${found.map((one) => ({
        key: one.id, kind: isOpen(one) ? "" : "ended", cells: [
          html`<a class="row job-name id" href=${caseAddress(one.id, node)}>${shown(one.id, 20)}</a>${isOpen(one) ? "" : html`<span class="below">closed: ${CLOSED[one.closed_for] ?? shown(one.closed_for, 30)}</span>`}`,
          html`<${Standing} one=${one} />`, html`<${Name} value=${one.job?.key} />`, html`<${Name} value=${one.job?.user || one.job?.namespace} longest=${32} />`,
          one.rule ? shown(one.rule, 64) : html`<span class="none">none: only recorded</span>`, one.waiting ? html`<b>${shown(one.waiting, 160)}</b>` : html`<span class="none">nothing</span>`,
          Object.entries(one.steps ?? {}).filter(([, step]) => step.state === "done").map(([name]) => shown(name, 20)).join(", ") || "none", html`<${Time} unix_s=${one.opened_unix_s} />`,
        ] }))} />` : html`<p class="panel">${every.length ? "No case fits the filter." : "No cases: nothing is held against any job of this node."}</p>`}
      ${waits.length ? html`<h2>What schedulers were asked for, and have not answered</h2><${Table} caption="Waiting actions" quiet=${true} heads=${["Action", "Kind", "Why it waits"]} rows=${waits.map((one) => ({ key: one.id, cells: [shown(one.id, 60), shown(one.kind, 30), shown(one.why || "its turn", 200)] }))} />` : ""}`;
  }
}

export class Case extends Component {
  render({ live, name, node, status }) {
    const page = live.get(`v1/cases/${encodeURIComponent(name)}`), one = page.data;
    if (!one) return html`<${Missing} page=${page} what=${`no case is called ${name}`} back=${[`#${node}/cases`, "To the cases"]} />`;
    const evidence = one.evidence ?? {}, job = one.job ?? {}, open = isOpen(one);
    return html`<p class="crumb"><a href="#${node}/cases">Cases</a></p>
      <div class="head"><h1>${shown(one.id, 20)}</h1><${Standing} one=${one} /><span>${open ? "open" : `closed: ${CLOSED[one.closed_for] ?? shown(one.closed_for, 40)}`}</span></div>
      <div class="split"><div>
        <section class="wash ${open ? one.standing : ""}" aria-label="What and why"><p><b>Job</b> <a href=${jobAddress(job.key, node)}><${Name} value=${job.key} longest=${100} /></a> of <${Name} value=${job.user || job.namespace} otherwise="nobody known" />, ${plural(job.gpus?.length ?? 0, "GPU")}</p>
          <ul>${(evidence.reasons ?? ["It rests on GPU-hours used, not on a verdict."]).map((words) => html`<li>${shown(words, 400)}</li>`)}</ul>
          ${one.blind ? html`<p><span class="blind">blind now: the ladder stands still</span></p>` : ""}</section>
        <h2>Ladder</h2><${Ladder} one=${one} open=${open} />
        <h2>Decide</h2><${Decide} one=${one} node=${node} live=${live} /></div>
      <div><h2>What is known</h2><div class="panel"><${Facts} rows=${[
          ["Rule", one.rule ? shown(one.rule, 64) : "none: it is only recorded"], ["Policy", status?.policy?.mode === "enforce" ? "in force" : "a dry run: all is told, nothing asked for"],
          ["Family", evidence.family ? shown(evidence.family, 40) : "–"], ["p(mining)", probability(evidence.probabilities?.mining)], ["What was seen", shown(evidence.tier || "–", 30)],
          ["Opened", html`<${Time} unix_s=${one.opened_unix_s} />`], ["Seen last", html`<${Time} unix_s=${one.seen_unix_s} />`], ["Counted", duration(one.clock_s)],
          one.closed_unix_s && ["Closed", html`<${Time} unix_s=${one.closed_unix_s} />`], one.linked && ["Case before", html`<a href=${caseAddress(one.linked, node)}>${shown(one.linked, 20)}</a>`],
          one.repeat && ["Acted on before", html`<a href=${caseAddress(one.repeat, node)}>${shown(one.repeat, 20)}</a>`],
          one.approval && ["Approved by", html`<${Name} value=${one.approval.by} />, until <${Time} unix_s=${one.approval.expires_unix_s} />`], one.approval && ["Reason", shown(one.approval.reason, 300)],
        ]} /></div><h2>What happened</h2><ol class="history">${(one.history ?? []).map((line) => {
          const [, at, words] = /^(\d+) (.*)$/s.exec(line) ?? [null, "", line];
          return html`<li>${at ? html`<${Time} unix_s=${Number(at)} />` : ""}<span>${shown(words, 400)}</span></li>`;
        })}</ol></div></div>`;
  }
}

function Ladder({ one, open }) {
  const steps = Object.entries(one.steps ?? {}), coming = one.coming ?? [];
  return html`<ol class="steps">${steps.map(([name, step]) => html`<li class=${step.state}><span>${STEPS[name] ?? shown(name, 40)}${step.kind && step.kind !== "warn" ? ` (${shown(step.kind, 30)})` : ""}: <b>${STEP_STATES[step.state] ?? shown(step.state, 20)}</b>${step.dry ? ", only told" : ""}${step.asked_unix_s ? html`, <${Time} unix_s=${step.asked_unix_s} />` : ""}${step.detail ? html`<span class="below">${shown(step.detail, 300)}</span>` : ""}</span></li>`)}
    ${coming.map((step) => html`<li><span>${STEPS[step.name] ?? shown(step.name, 40)}${step.kind && step.kind !== "warn" ? ` (${shown(step.kind, 30)})` : ""}: ${step.kind ? html`after ${duration(step.after_s)} counted${step.left_s > 0 ? html`, <b>${duration(step.left_s)} to go</b>` : ""}` : "nothing that its scheduler has"}</span></li>`)}
    ${open && one.waiting ? html`<li class="next"><span>Next, waits for: ${shown(one.waiting, 300)}</span></li>`
      : open && !one.rule ? html`<li class="next"><span>No rule: nothing will be done</span></li>` : ""}
    ${!open && !steps.length ? html`<li><span>No step was taken.</span></li>` : ""}</ol>`;
}

class Decide extends Component {
  constructor() { super(); this.state = { reason: "", asked: null, said: "", failed: "", busy: false }; }

  path(word) { return `${this.props.live.base}v1/cases/${encodeURIComponent(this.props.one.id)}/${word}`; }

  async question(event) {
    event.preventDefault();
    const word = event.submitter?.value ?? "approve", { one, node } = this.props;
    if (this.state.reason.trim().length < 3) return this.setState({ failed: "Say why, in a few words: it goes into the audit log.", said: "" });
    this.setState({ busy: true, failed: "", said: "" });
    const number = /@(\d+)/.exec(node)?.[1] ?? "0";
    const found = await answerOf(`plain/deed?id=${encodeURIComponent(one.id)}&word=${word}&node=${number}`);
    this.setState({ busy: false, asked: found.ok ? { word, words: found.data.words } : null, failed: found.ok ? "" : found.error });
  }

  async decide(word) {
    this.setState({ busy: true });
    const found = await answerOf(this.path(word), { reason: this.state.reason.trim() });
    this.setState({ busy: false, asked: null, failed: found.ok ? "" : found.error, said: found.ok ? (word === "approve" ? "Approved: it is in the audit log." : "Rejected: the case is closed, its job is left alone.") : "", reason: found.ok ? "" : this.state.reason });
    this.props.live.renew();
  }

  render({ one }, { reason, asked, said, failed, busy }) {
    return html`<div><div aria-live="polite" role="status">${said ? html`<p class="wash clear"><b>${said}</b></p>` : ""}</div>
      ${failed ? html`<p class="alarm" role="alert">${shown(failed, 600)}</p>` : ""}
      <form class="decide" onSubmit=${(event) => this.question(event)}><label for="reason">Reason, for the audit log</label>
        <textarea id="reason" rows="2" maxlength="500" required value=${reason} onInput=${(event) => this.setState({ reason: event.target.value })} placeholder="For example: seen with its owner, ticket 4711"></textarea>
        <div class="buttons"><button value="approve" disabled=${busy}>Approve …</button><button value="reject" disabled=${busy}>Reject …</button></div>
        <p><small>You will be told what exactly is done, and asked once more. ${isOpen(one) ? "" : "The case is closed; a rejection may still be noted."}</small></p></form>
      ${asked ? html`<${Dialog} title=${`${asked.word === "approve" ? "Approve" : "Reject"} ${shown(one.id, 20)}?`} onClose=${() => this.setState({ asked: null })}>
        <p class="alarm">${shown(asked.words, 900)}</p><p>Reason: ${shown(reason, 500)}</p>
        <div class="buttons"><button class="main" disabled=${busy} onClick=${() => this.decide(asked.word)}>Yes, ${asked.word}</button><button autofocus onClick=${() => this.setState({ asked: null })}>No, back</button></div></${Dialog}>` : ""}</div>`;
  }
}
