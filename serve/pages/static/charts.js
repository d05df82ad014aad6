// Charts as SVG: they take the theme's colours, scale, print, and say in words what they show.
import { html, Component, createRef } from "./ui.js";
import { clock, known, percent, probability } from "./format.js";

export function linePath(points) {
  let path = "", pen = false;
  for (const [x, y] of points) {
    if (!known(y)) { pen = false; continue; }
    path += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  }
  return path;
}

// The course of the evidence in one cell of a table; the upper dashed line is what confirms it.
export function Spark({ values, state }) {
  const width = 112, height = 26, points = (values ?? []).filter(known);
  if (points.length < 2) return html`<span class="none">too few points</span>`;
  const at = points.map((value, place) => [1 + (place * (width - 5)) / (points.length - 1), height - 3 - value * (height - 7)]);
  const line = linePath(at), [x, y] = at[at.length - 1];
  const first = points[0], last = points[points.length - 1];
  return html`<svg class="spark ${state}" viewBox="0 0 ${width} ${height}" width=${width} height=${height} role="img"
    aria-label=${`Evidence over time: from ${percent(first)} to ${percent(last)} of what confirms`}>
    <line class="limit" x1="0" x2=${width} y1="4" y2="4" /><path class="area" d="${line}L${x} ${height - 3}L1 ${height - 3}Z" />
    <path class="line" d=${line} /><circle class="dot" cx=${x} cy=${y} r="2.2" /></svg>`;
}

// Gives its child the width that there is.
export class Sized extends Component {
  constructor() { super(); this.box = createRef(); this.state = { width: 0 }; }
  componentDidMount() {
    this.seen = new ResizeObserver(() => this.measure());
    this.seen.observe(this.box.current);
    this.measure();
  }
  componentWillUnmount() { this.seen.disconnect(); }
  measure() {
    const width = Math.floor(this.box.current?.clientWidth ?? 0);
    if (width && width !== this.state.width) this.setState({ width });
  }
  render({ draw }, { width }) { return html`<div class="sized" ref=${this.box}>${width ? draw(width) : null}</div>`; }
}

export function timeTicks(from, to, count) {
  const steps = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = steps.find((each) => (to - from) / each <= count) ?? 86400;
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return ticks;
}

// Stretches of the same state: [state, first, last place].
export function stretches(states) {
  const found = [];
  states.forEach((state, place) => {
    if (found.length && found[found.length - 1][0] === state) found[found.length - 1][2] = place;
    else found.push([state, place, place]);
  });
  return found;
}

// The course of the evidence on one job, large. Arrow keys and the pointer read it point by point.
export class EvidenceChart extends Component {
  constructor() { super(); this.state = { place: null }; }

  nearest(event, x, times) {
    const box = event.currentTarget.getBoundingClientRect(), at = event.clientX - box.left;
    let best = 0;
    times.forEach((time, place) => { if (Math.abs(x(time) - at) < Math.abs(x(times[best]) - at)) best = place; });
    this.setState({ place: best });
  }

  key(event, size) {
    const now = this.state.place ?? size - 1;
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: size - 1, PageUp: now - 10, PageDown: now + 10 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.setState({ place: Math.min(Math.max(next, 0), size - 1) });
  }

  render({ history, width }, { place }) {
    const times = history.unix_s, size = times.length, height = width < 600 ? 220 : 270;
    const left = 44, right = width - 12, top = 26, base = height - 56;
    const from = times[0], to = Math.max(times[size - 1], from + 1);
    const x = (time) => left + ((time - from) / (to - from)) * (right - left);
    const y = (value) => base - value * (base - top);
    const line = linePath(times.map((time, n) => [x(time), known(history.strength[n]) ? y(history.strength[n]) : null]));
    const mining = linePath(times.map((time, n) => [x(time), known(history.mining[n]) ? y(history.mining[n]) : null]));
    const spans = stretches(history.state), here = place === null || place >= size ? size - 1 : place;
    const words = `${clock(times[here])}: evidence ${percent(history.strength[here])}, p(mining) ${probability(history.mining[here])}, ${history.state[here]}, most like ${history.likeliest[here] || "nothing yet"}`;
    return html`<div class="chart" tabindex="0" role="slider" aria-label="Evidence over time, point by point" aria-valuemin="0"
        aria-valuemax=${size - 1} aria-valuenow=${here} aria-valuetext=${words} onKeyDown=${(event) => this.key(event, size)}>
      <p class="readout" aria-hidden="true">${words}</p>
      <svg width=${width} height=${height} aria-hidden="true" onPointerMove=${(event) => this.nearest(event, x, times)}
          onPointerLeave=${() => this.setState({ place: null })}>
        ${[0, 0.25, 0.5, 0.75].map((value) => html`<g class="grid"><line x1=${left} x2=${right} y1=${y(value)} y2=${y(value)} />
          <text x=${left - 6} y=${y(value) + 4} class="end">${percent(value)}</text></g>`)}
        <g class="limit"><line x1=${left} x2=${right} y1=${y(1)} y2=${y(1)} /><text x=${right} y=${y(1) - 7} class="end">confirmed from here</text>
          <text x=${left - 6} y=${y(1) + 4} class="end">100 %</text></g>
        ${timeTicks(from, to, Math.max(2, width / 130)).filter((at) => x(at) < right - 18).map((at) => html`<g class="grid"><line x1=${x(at)} x2=${x(at)} y1=${base} y2=${base + 4} />
          <text x=${x(at)} y=${height - 4} class="middle">${clock(at)}</text></g>`)}
        ${spans.map(([state, a, b]) => {
          const end = b + 1 < size ? x(times[b + 1]) : right;
          return html`<g class="ribbon ${state}"><rect x=${x(times[a])} y=${base + 8} width=${Math.max(end - x(times[a]) - 1, 1)} height="18" />
            ${end - x(times[a]) > 62 ? html`<text x=${(x(times[a]) + end) / 2} y=${base + 21} class="middle">${state}</text>` : ""}</g>`;
        })}
        ${spans.slice(1).map(([state, a]) => html`<line class="rise ${state}" x1=${x(times[a])} x2=${x(times[a])} y1=${top} y2=${base + 8} />`)}
        <path class="mining" d=${mining} /><path class="area" d="${line}L${x(times[size - 1])} ${base}L${x(from)} ${base}Z" /><path class="line" d=${line} />
        <g class="cursor"><line x1=${x(times[here])} x2=${x(times[here])} y1=${top} y2=${base} />
          <circle cx=${x(times[here])} cy=${y(history.strength[here] ?? 0)} r="4" /></g>
      </svg></div>`;
  }
}

// One channel of the last minutes, with the stretch that decided shaded.
export class ChannelChart extends Component {
  shouldComponentUpdate(next) {
    return next.values !== this.props.values || next.cursor !== this.props.cursor || next.width !== this.props.width || next.interval !== this.props.interval;
  }
  render({ times, values, interval, cursor, onCursor, width }) {
    const height = 56, finite = values.filter(known), from = times[0], to = Math.max(times[times.length - 1], from + 1);
    const low = Math.min(0, ...finite), high = Math.max(...finite, low + 1e-9) * 1.04;
    const x = (time) => ((time - from) / (to - from)) * width, y = (value) => height - 3 - ((value - low) / (high - low)) * (height - 8);
    const read = (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      onCursor(from + ((event.clientX - box.left) / box.width) * (to - from));
    };
    const a = interval ? Math.max(x(interval.from_unix_s), 0) : 0, b = interval ? Math.min(x(interval.to_unix_s), width) : 0;
    return html`<svg class="channel" width=${width} height=${height} aria-hidden="true" onPointerMove=${read} onPointerLeave=${() => onCursor(null)}>
      ${b > a ? html`<rect class="decided" x=${a} width=${b - a} y="0" height=${height} />` : ""}
      <line class="zero" x1="0" x2=${width} y1=${y(low)} y2=${y(low)} />
      <path class="line" d=${linePath(times.map((time, n) => [x(time), known(values[n]) ? y(values[n]) : null]))} />
      ${cursor !== null ? html`<line class="at" x1=${x(cursor)} x2=${x(cursor)} y1="0" y2=${height} />` : ""}</svg>`;
  }
}

// Shares of instructions as one bar.
export function MixBar({ parts, words }) {
  let at = 0;
  return html`<svg class="mix" viewBox="0 0 400 20" preserveAspectRatio="none" role="img" aria-label=${words}>
    ${parts.map(([name, share]) => {
      const start = at;
      at += share;
      return share > 0.002 ? html`<rect class="part ${name}" x=${400 * start} width=${Math.max(400 * share - 1, 0.6)} height="20" />` : "";
    })}</svg>`;
}
