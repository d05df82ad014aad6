// The channels of the last minutes as small charts: what decided first, then by who says them.
import { html, Component } from "./ui.js";
import { channelWords, clock, known, quantity, shown } from "./format.js";
import { ChannelChart, Sized } from "./charts.js";
import { GROUPS } from "./words.js";

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : NaN);

export class Channels extends Component {
  constructor() {
    super();
    this.state = { cursor: null, all: false };
    this.onCursor = (cursor) => this.setState({ cursor });
  }

  nearest(times) {
    const { cursor } = this.state;
    if (cursor === null) return null;
    let best = 0;
    times.forEach((time, place) => { if (Math.abs(time - cursor) < Math.abs(times[best] - cursor)) best = place; });
    return best;
  }

  figure(page, name, chosen) {
    const values = page.channels[name], times = page.unix_s, unit = page.units[name] === "ratio" && !name.endsWith("_ratio") ? "" : page.units[name], place = this.nearest(times);
    const finite = values.filter(known), now = place === null ? values.findLast(known) : values[place], part = page.interval;
    const inside = part ? values.filter((value, n) => known(value) && times[n] >= part.from_unix_s && times[n] <= part.to_unix_s) : [];
    const words = `from ${quantity(Math.min(...finite), unit)} to ${quantity(Math.max(...finite), unit)}${inside.length ? `; ${quantity(mean(inside), unit)} where it decided` : ""}`;
    return html`<figure key=${name} class=${chosen ? "chosen" : ""} title=${name}><figcaption><span>${channelWords(name)}</span><b>${quantity(now, unit)}</b></figcaption>
      <${Sized} draw=${(width) => html`<${ChannelChart} times=${times} values=${values} interval=${part} cursor=${this.state.cursor} onCursor=${this.onCursor} width=${width} />`} />
      <small>${words}</small></figure>`;
  }

  render({ page, full, ended }, { all, cursor }) {
    const data = page.data;
    const head = html`<h2 id="channels">Channels <small>${data?.unix_s.length ? `${clock(data.unix_s[0])} to ${clock(data.unix_s.at(-1))}${cursor ? `; at ${clock(cursor)}` : ""}` : ""}</small></h2>`;
    if (ended) return html`<section>${head}<p class="none">Raw samples of a job that ended are kept in its evidence bundle, if it had a case.</p></section>`;
    if (!data) return html`<section>${head}<p class="waiting" role=${page.error ? "alert" : "status"}>${page.error ? shown(page.error, 300) : "Asking …"}</p></section>`;
    if (!data.unix_s.length) return html`<section>${head}<p class="none">No samples of the last minutes.</p></section>`;
    const deciding = full?.deciding ?? data.deciding ?? [], first = [];
    for (const item of deciding) first.push([item, Object.keys(item.values).filter((name) => data.channels[name]?.some(known))]);
    const shownFirst = new Set(first.flatMap(([, names]) => names));
    const rest = GROUPS.map(([group, words, more]) => [group, words, more, Object.keys(data.channels).filter((name) => data.groups[name] === group && !shownFirst.has(name) && data.channels[name].some(known))])
      .filter(([, , , names]) => names.length);
    return html`<section aria-labelledby="channels">${head}
      ${data.interval && data.interval.to_unix_s < data.unix_s[0] ? html`<p>What decided was found between ${clock(data.interval.from_unix_s)} and ${clock(data.interval.to_unix_s)}: before the samples that are still here. The evidence bundle of its case holds them.</p>`
        : data.interval ? html`<ul class="key"><li><svg aria-hidden="true"><rect class="decided" width="26" height="12" /></svg>what decided was found between ${clock(data.interval.from_unix_s)} and ${clock(data.interval.to_unix_s)}</li></ul>` : ""}
      ${first.map(([item, names]) => html`<h3>Decided: ${shown(item.theme, 60)} <small>odds of mining ×${Math.exp(item.worth).toPrecision(2)} with it</small></h3>
        <div class="multiples">${names.map((name) => this.figure(data, name, true))}</div>`)}
      ${rest.length ? html`<details open=${all || !first.length} onToggle=${(event) => this.setState({ all: event.currentTarget.open })}><summary>${first.length ? "All other channels" : "All channels"}: ${rest.reduce((sum, [, , , names]) => sum + names.length, 0)}</summary>
        ${all || !first.length ? rest.map(([, words, more, names]) => html`<h3>${words} <small>${more}</small></h3><div class="multiples">${names.map((name) => this.figure(data, name, false))}</div>`) : ""}</details>` : ""}</section>`;
  }
}
