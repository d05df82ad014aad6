// What every module draws with: Preact, and templates in place of a build step.
import { h, render, Component, Fragment, createRef } from "./vendor/preact-10.29.8.js";
import htm from "./vendor/htm-3.1.1.js";

export const html = htm.bind(h);
export { h, render, Component, Fragment, createRef };

export function remembered(name, otherwise) {
  try { return JSON.parse(localStorage.getItem(`hashwarden-${name}`)) ?? otherwise; } catch { return otherwise; }
}

export function remember(name, value) {
  try { localStorage.setItem(`hashwarden-${name}`, JSON.stringify(value)); } catch { /* then it holds for this page */ }
}
