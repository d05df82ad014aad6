// Numbers, times and hostile names, as people read them. What is not known is a dash, never 0.
import { html } from "./ui.js";

export const DASH = "–";
const hidden = /[\p{C}\p{Zl}\p{Zp}]/gu;

// Nothing hidden, nothing that turns the direction of the text around it, not too long.
export function shown(value, longest = 200) {
  const text = String(value ?? "").slice(0, 4000)
    .replace(hidden, (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
  if (text.length <= longest) return text;
  const tail = Math.floor((longest - 1) / 2);
  return `${text.slice(0, longest - 1 - tail)}…${text.slice(-tail)}`;
}

// Names break after what separates their parts, and within a part only if it is long: a column is never narrower than one.
const breakable = (text) => (text.match(/[^/:@._-]{1,16}[/:@._-]*|[/:@._-]{1,16}/gu) ?? []).map((part, place) => (place ? html`<wbr />${part}` : part));

export function Name({ value, longest = 60, otherwise = "none" }) {
  if (value === "" || value === null || value === undefined) return html`<span class="none">${otherwise}</span>`;
  const whole = shown(value, 1000), short = shown(value, longest);
  return html`<bdi class="name" title=${whole === short ? null : whole}>${breakable(short)}</bdi>`;
}

export const known = (value) => typeof value === "number" && Number.isFinite(value);

export function percent(value, digits = 0) {
  return known(value) ? `${(100 * value).toFixed(digits)}\u00a0%` : DASH;
}

// Near 0 and 1 a rounded share would say what is not so.
export function probability(value) {
  if (!known(value)) return DASH;
  if (value > 0 && value < 0.005) return "<\u00a01\u00a0%";
  if (value < 1 && value > 0.995) return ">\u00a099\u00a0%";
  return percent(value);
}

export function duration(seconds) {
  if (!known(seconds) || seconds < 0) return DASH;
  if (seconds < 120) return `${Math.round(seconds)}\u00a0s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}\u00a0min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)}\u00a0h` : `${(seconds / 86400).toFixed(1)}\u00a0days`;
}

const two = (number) => String(number).padStart(2, "0");

export function clock(unix_s) {
  if (!known(unix_s)) return DASH;
  const date = new Date(unix_s * 1000);
  return Number.isNaN(date.getTime()) ? DASH : `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function Time({ unix_s }) {
  if (!known(unix_s) || Math.abs(unix_s) > 8e12) return html`<span>${DASH}</span>`;
  const date = new Date(unix_s * 1000), today = new Date();
  const day = date.toDateString() === today.toDateString() ? "" :
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `;
  return html`<time datetime=${date.toISOString()} title=${date.toISOString()}>${day}${clock(unix_s)}</time>`;
}

const UNITS = { watts: "W", celsius: "°C", mhz: "MHz", mib: "MiB", "mib/s": "MiB/s", "1/s": "/s", count: "", seconds: "s" };

export function quantity(value, unit) {
  if (!known(value)) return DASH;
  if (unit === "ratio") return Math.abs(value) <= 1.5 ? percent(value, Math.abs(value) < 0.1 ? 1 : 0) : value.toFixed(2);
  return `${compact(value)}\u00a0${UNITS[unit] ?? unit}`.trim();
}

export function compact(value) {
  const size = Math.abs(value);
  for (const [step, sign] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (size >= step) return `${(value / (sign === "k" ? 1e3 : step)).toFixed(1)}${sign}`;
  }
  return size >= 100 || Number.isInteger(value) ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toPrecision(2);
}

const ENDINGS = /_(ratio|mib_per_s|per_s|mib|watts|mhz|celsius|seconds)$/;
const WORDS = { fb: "frame buffer", sm: "SM", gpu: "GPU", dram: "DRAM", pcie: "PCIe", nvlink: "NVLink", tx: "sent", rx: "received",
  util: "use", hmma: "HMMA", imma: "IMMA", dfma: "DFMA", fp64: "FP64", fp32: "FP32", fp16: "FP16", pm: "PM" };

// A channel's name without its unit, in words.
export function channelWords(name) {
  const words = shown(name, 80).replace(ENDINGS, "").replace(/^code_/, "").split("_").map((word) => WORDS[word] ?? word).join(" ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const jobAddress = (key, node) => `#${node}/job/${encodeURIComponent(key)}`;
export const caseAddress = (id, node) => `#${node}/case/${encodeURIComponent(id)}`;
export const plural = (count, word, many = `${word}s`) => `${count} ${count === 1 ? word : many}`;
