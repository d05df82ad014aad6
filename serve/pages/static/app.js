// The frame: which view is shown, what it needs, how old that is, and the keys.
import { html, render, Component, remember, remembered } from "./ui.js";
import { Live, answerOf } from "./live.js";
import { clock, duration, plural, shown } from "./format.js";
import { Dialog } from "./parts.js";
import { Jobs } from "./jobs.js";
import { Job, jobNeeds } from "./job.js";
import { Cases, Case } from "./cases.js";
import { Blind, Gpus, About } from "./node.js";
import { Policy } from "./policy.js";
import { Help, LETTERS, moveRow } from "./help.js";

const VIEWS = {
  jobs: ["Jobs", Jobs, () => ({ "v1/jobs": 2000, ...(remembered("ended", false) ? { "v1/ended": 4000 } : {}) })],
  cases: ["Cases", Cases, () => ({ "v1/cases": 2000 })],
  blind: ["Blindness", Blind, () => ({ "v1/jobs": 4000 })],
  gpus: ["GPUs", Gpus, () => ({ "v1/gpus": 2000, "v1/jobs": 4000 })],
  policy: ["Policy", Policy, () => ({ "v1/jobs": 8000 })],
  about: ["About", About, () => ({})],
  job: ["Job", Job, jobNeeds, "jobs"],
  case: ["Case", Case, (name) => ({ [`v1/cases/${encodeURIComponent(name)}`]: 2000 }), "cases"],
};
const MENU = ["jobs", "cases", "blind", "gpus", "policy", "about"];
const LATE_MS = 10000;

function routed() {
  let parts = location.hash.replace(/^#\/?/, "").split("/"), node = 0;
  if (/^@\d+$/.test(parts[0])) node = Number(parts.shift().slice(1));
  let name = parts[1] ?? "";
  try { name = decodeURIComponent(name); } catch { /* as it stands */ }
  return { view: parts[0] || "jobs", name, node, before: node ? `/@${node}` : "" };
}

class App extends Component {
  constructor() {
    super();
    this.live = new Live(() => this.setState({}));
    this.state = { route: routed(), nodes: [], policies: null, help: false, theme: remembered("chosen-theme", "system") };
  }

  componentDidMount() {
    addEventListener("hashchange", () => this.go());
    addEventListener("keydown", (event) => this.key(event));
    this.go(true);
    this.live.start();
    answerOf("hosted.json").then((found) => { if (found.ok) this.setState({ nodes: found.data.nodes, policies: found.data.policies }); });
  }

  go(first = false) {
    const route = routed();
    this.setState({ route });
    this.live.at(route.node ? `nodes/${route.node}/` : "");
    this.want(route);
    if (!first) { document.getElementById("main")?.focus({ preventScroll: true }); scrollTo(0, 0); }
  }

  want(route = this.state.route) {
    const needs = VIEWS[route.view]?.[2](route.name) ?? {};
    this.live.want({ "v1/status": 2000, healthz: 4000, ...needs });
  }

  theme() {
    const theme = { system: "light", light: "dark", dark: "system" }[this.state.theme];
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try { localStorage.setItem("hashwarden-theme", theme); } catch { /* it holds for this page */ }
    remember("chosen-theme", theme);
    this.setState({ theme });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, textarea, select");
    if (event.key === "Escape") return this.escape(typing, event);
    if (typing || !remembered("keys", true)) return;
    const to = LETTERS[event.key];
    if (event.key === "?") this.setState({ help: true });
    else if (event.key === "t") this.theme();
    else if (event.key === "j" || event.key === "k") moveRow(event.key === "j" ? 1 : -1);
    else if (event.key === "/" && document.getElementById("filter")) document.getElementById("filter").focus();
    else if (to) location.hash = `${this.state.route.before}/${to}`;
    else return;
    event.preventDefault();
  }

  escape(typing, event) {
    const { route } = this.state, above = VIEWS[route.view]?.[3];
    if (typing) event.target.blur();
    else if (above) location.hash = `${route.before}/${above}`;
  }

  render(_, { route, nodes, policies, help, theme }) {
    const status = this.live.get("v1/status"), view = VIEWS[route.view];
    const lost = status.lost || (status.data && !document.hidden && Date.now() - status.at > LATE_MS);
    document.body.className = lost ? "lost" : "";
    const title = view ? `${view[0]}${route.name ? ` ${shown(route.name, 60)}` : ""}` : "Not here";
    document.title = `${lost ? "Connection lost - " : ""}${title} - hashwarden`;
    return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
      <${Top} route=${route} nodes=${nodes} status=${status} lost=${lost} theme=${theme} onTheme=${() => this.theme()} onHelp=${() => this.setState({ help: true })} />
      <main id="main" tabindex="-1">
        <${Banner} status=${status} health=${this.live.get("healthz")} lost=${lost} />
        ${!status.data && status.lost ? html`<${Nobody} />` : view
          ? html`<${view[1]} key=${`${route.node} ${route.view} ${route.name}`} live=${this.live} name=${route.name} node=${route.before}
              status=${status.data} policies=${policies} onWant=${() => this.want()} />`
          : html`<h1>Not here</h1><p role="alert">There is no page called ${shown(route.view, 60)}.</p><p><a href="#${route.before}/jobs">To the jobs</a></p>`}
      </main>
      ${help ? html`<${Dialog} title="Keys" onClose=${() => this.setState({ help: false })}><${Help} /></${Dialog}>` : ""}`;
  }
}

function Top({ route, nodes, status, lost, theme, onTheme, onHelp }) {
  const counts = { cases: status.data?.cases, blind: status.data?.blind?.length, jobs: status.data?.jobs, gpus: status.data?.gpus };
  const here = VIEWS[route.view]?.[3] ?? route.view;
  return html`<header class="top">
    <a class="brand" href="#${route.before}/jobs"><img src="icon.svg" alt="" />hashwarden</a>
    ${nodes.length > 1
      ? html`<label class="where"><span class="unseen">Node</span><select value=${route.node} onChange=${(event) => { location.hash = `${event.target.value === "0" ? "" : `/@${event.target.value}`}/jobs`; }}>
          ${nodes.map((one, place) => html`<option value=${place}>${shown(one.name, 40)}</option>`)}</select></label>`
      : html`<span class="where" title="Node">${shown(status.data?.node ?? nodes[0]?.where ?? "", 60)}</span>`}
    <nav aria-label="Views" tabindex="-1">${MENU.map((name) => html`<a href="#${route.before}/${name}" aria-current=${here === name ? "page" : null}>${VIEWS[name][0]}${
      counts[name] !== undefined ? html`<span class="count ${counts[name] && (name === "cases" || name === "blind") ? "some" : ""}">${counts[name]}</span>` : ""}</a>`)}</nav>
    <span class="unseen" role="status" aria-live="polite">${status.data ? `${plural(status.data.cases ?? 0, "open case")}, ${plural(status.data.blind?.length ?? 0, "blindness", "blindnesses")}` : ""}</span>
    <div class="tools"><span class="age ${lost ? "late" : ""}">${ageWords(status, lost)}</span>
      <button onClick=${onTheme} aria-label=${`Theme: ${theme}; change`} title=${`Theme: ${theme} (t)`}>${{ system: "◐", light: "○", dark: "●" }[theme]}</button>
      <button onClick=${onHelp} aria-label="Keys and help" title="Keys (?)">?</button></div></header>`;
}

function ageWords(status, lost) {
  if (!status.at) return lost ? "no answer" : "asking …";
  const age = (Date.now() - status.at) / 1000;
  if (document.hidden) return "paused";
  return lost ? `lost ${duration(age)} ago` : age < 3 ? "live" : `${Math.round(age)} s old`;
}

function Banner({ status, health, lost }) {
  if (lost && status.data) {
    return html`<div class="banner alarm" role="alert"><strong>Connection lost</strong>
      <p>Nothing below is current: it is as of ${clock(status.at / 1000)}. A quiet page is not a quiet node.</p>
      <p>${shown(status.error, 400) || "No answer comes."} It is asked again every 2 s.</p></div>`;
  }
  if (!lost && (health.data?.alive === false || health.status === 503)) {
    return html`<div class="banner alarm" role="alert"><strong>The agent hangs</strong><p>It answers, but watches nobody: no tick for half a minute.
      What stands below is old. See docs/runbook.md, HashwardenStuck.</p></div>`;
  }
  if (!lost && status.error && !status.data) return html`<div class="banner alarm" role="alert"><strong>${status.status === 403 ? "Not allowed" : "No answer"}</strong><p>${shown(status.error, 400)}</p></div>`;
  return null;
}

function Nobody() {
  return html`<section><h1>No agent answers</h1><p>This page will show its jobs as soon as one does; nothing has to be reloaded.</p>
    <ul><li>Does it run? <code>systemctl status hashwarden-agent</code></li>
    <li>Is it another socket? <code>hashwarden dashboard --socket /run/hashwarden/agent.sock</code></li>
    <li>May you ask it? Only root and its approvers may: <code>http.approvers</code> of its configuration.</li>
    <li>A service elsewhere: <code>hashwarden dashboard --url https://HOST:PORT --token-file FILE</code></li>
    <li>Only to look around: <code>hashwarden dashboard --replay data/job/demo.parquet</code></li></ul></section>`;
}

render(html`<${App} />`, document.getElementById("app"));
