// The Mix tool: interpolation of two kept images, and arithmetic with three.
import { Frame, nameOf } from './api.js';
import { onChange, state } from './state.js';
import { keep } from './tray.js';

const by = id => document.getElementById(id);
const CHOICES = ['between-a', 'between-b', 'sum-a', 'sum-b', 'sum-c'];
const FIRST = { 'between-a': 0, 'between-b': 1, 'sum-a': 0, 'sum-b': 1, 'sum-c': 2 };
const frames = {};
let known = '';

export function setUpMix() {
  for (const [id, pixels] of [['between-big', 230], ['sum-big', 80], ['sum-a-image', 80],
    ['sum-b-image', 80], ['sum-c-image', 80]]) frames[id] = new Frame(by(id), pixels);
  for (const id of [...CHOICES, 'between-share']) by(id).addEventListener('input', draw);
  by('between-share').value = 0.5;
  by('between-keep').addEventListener('click', () => keep(between()));
  by('sum-keep').addEventListener('click', () => keep(sum()));
  onChange(draw);
  draw();
}

function fillChoices() {
  if (known === state.kept.join('~')) return;
  known = state.kept.join('~');
  for (const id of CHOICES) {
    const before = by(id).value;
    by(id).replaceChildren(...state.kept.map(recipe => new Option(nameOf(recipe).replaceAll('seed ', ''), recipe)));
    by(id).value = state.kept.includes(before) ? before :
      state.kept[Math.min(FIRST[id], state.kept.length - 1)];
  }
}

function between() {
  const share = Number(by('between-share').value), [a, b] = [by('between-a').value, by('between-b').value];
  return share === 0 ? a : share === 1 ? b : `mix(${a},${b},${share})`;
}

const sum = () => `sum(${by('sum-a').value},${by('sum-b').value},${by('sum-c').value})`;

function draw() {
  if (state.tab !== 'mix' || state.kept.length < 2) return;
  fillChoices();
  frames['between-big'].show(between());
  frames['sum-big'].show(sum());
  for (const letter of 'abc') frames[`sum-${letter}-image`].show(by(`sum-${letter}`).value);
}
