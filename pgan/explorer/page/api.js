// Requests to the server, and loading of images.
import { run, state } from './state.js';

export { run };

export async function loadRun() {
  Object.assign(run, await get('about'));
}

async function answer(response) {
  const value = await response.json();
  if (!response.ok) throw new Error(value.error || response.statusText);
  return value;
}

export const get = async address => answer(await fetch(address));
export const post = async (address, value) => answer(await fetch(address, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value),
}));
export const upload = async (address, file) => answer(await fetch(address, {
  method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: file,
}));

// Polls a task until it ends, calls `report` with each state, and returns the task.
export async function follow(task, report = () => {}) {
  while (task.state === 'waiting' || task.state === 'running') {
    report(task);
    await new Promise(resolve => setTimeout(resolve, 150));
    task = await get(`tasks/${task.task}`);
  }
  report(task);
  if (task.state === 'failed') throw new Error(task.error);
  return task;
}

export const cancel = number => fetch(`tasks/${number}`, { method: 'DELETE' });

function query(recipes, options) {
  const words = new URLSearchParams();
  for (const recipe of recipes) words.append('of', recipe);
  for (const [name, value] of Object.entries(options)) if (value !== null) words.set(name, value);
  return words.toString();
}

const view = () => ({ snapshot: state.snapshot, lod: state.lod });
// Browsers cache images; the session distinguishes those of different runs at the same port.
export const imageAddress = (recipe, options) => (
  `image?${query([recipe], { ...view(), session: run.session, ...options })}`);
export const sheetAddress = recipes => `sheet?${query(recipes, view())}`;
export const arrayAddress = (kind, recipes) => `${kind}?${query(recipes, {})}`;

// The largest power of two by which images can be shrunk and still fill this many CSS pixels.
function shrinkFor(pixels) {
  let shrink = 1;
  while (run.resolution / (2 * shrink) >= pixels * Math.min(devicePixelRatio, 2)) shrink *= 2;
  return shrink;
}

// Browsers open few connections, so full images of large networks are requested only while no first
// (coarse) ones are loading: numbers of { firsts, wholes } in flight, and frames waiting for a full
// image.
const traffic = { firsts: 0, wholes: 0, waiting: [] };
const MOST_WHOLES = 2;

function startWholes() {
  while (!traffic.firsts && traffic.wholes < MOST_WHOLES && traffic.waiting.length) {
    traffic.waiting.shift().startWhole();
  }
}

// An <img> that shows changing recipes: at most one request is in flight, and only the newest
// recipe is requested next. Images of large networks are shown coarsely first.
export class Frame {
  #phase = '';  // 'firsts' or 'wholes' while a request is in flight
  #next = null;  // addresses of the first image and, if it is coarse, of the full one
  #whole = null;
  #wish = '';

  #loader = new Image();  // keeps the previous image visible until the next one has loaded

  constructor(img, pixels) {
    this.img = img;
    this.pixels = pixels;
    img.decoding = 'sync';
    this.#loader.addEventListener('load', () => this.#loaded(true));
    this.#loader.addEventListener('error', () => this.#loaded(false));
  }

  // moving: another recipe follows soon, so a coarse image is enough.
  show(recipe, { moving = false } = {}) {
    const addresses = this.#addresses(recipe, moving);
    if (this.#wish === addresses.join(' ')) return;
    this.#wish = addresses.join(' ');
    this.#next = addresses;
    this.#whole = null;
    if (!this.#phase) this.#startNext();
  }

  cancel() {
    this.#next = this.#whole = null;
    this.#wish = '';
    this.#enter('');
    this.#loader.removeAttribute('src');
  }

  startWhole() {
    if (this.#phase || !this.#whole) return;
    this.#enter('wholes');
    this.#loader.src = this.#whole;
    this.#whole = null;
  }

  #addresses(recipe, moving) {
    if (state.lod !== null) return [imageAddress(recipe)];
    const full = imageAddress(recipe, { shrink: shrinkFor(this.pixels) });
    if (!run.preview) return [full];
    const coarse = imageAddress(recipe, { preview: 1 });
    return moving ? [coarse] : [coarse, `${full}&later=1`];
  }

  #startNext() {
    const [first, whole = null] = this.#next;
    this.#next = null;
    this.#whole = whole;
    this.#enter('firsts');
    this.#loader.src = first;
  }

  #enter(phase) {
    if (this.#phase) traffic[this.#phase] -= 1;
    this.#phase = phase;
    if (phase) traffic[phase] += 1;
    else startWholes();
  }

  #loaded(isGood) {
    if (!this.#phase) return;
    this.img.classList.toggle('failed', !isGood);
    if (isGood) this.img.src = this.#loader.src;
    else explain(this.#loader.src);
    if (!isGood && !this.#next) this.#wish = '';
    if (this.#whole) {  // Large frames take precedence.
      if (this.pixels > 200) traffic.waiting.unshift(this);
      else traffic.waiting.push(this);
    }
    this.#enter('');
    if (this.#next) this.#startNext();
  }
}

// Shows why an image failed to load, at most once every 5 seconds.
let explainedAt = -Infinity;
async function explain(address) {
  if (performance.now() - explainedAt < 5000) return;
  explainedAt = performance.now();
  try {
    const response = await fetch(address);
    if (!response.ok) tell((await response.json()).error);
  } catch {
    tell('The explorer no longer answers: it has ended, or its machine cannot be reached.');
  }
}

let timer = 0;
export function tell(message) {
  const box = document.getElementById('message');
  box.textContent = message;
  box.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { box.hidden = true; }, 6000);
}

const LEAST_PARTS = { mix: 4, sum: 4, move: 3 };

// The parts of 'mix(A,B,0.5)': ['mix', 'A', 'B', '0.5']; null for other and incomplete recipes.
export function partsOf(recipe) {
  const found = /^(mix|sum|move)\((.*)\)$/.exec(recipe);
  if (!found) return null;
  const parts = [found[1], ''];
  let depth = 0;
  for (const character of found[2]) {
    depth += character === '(' ? 1 : character === ')' ? -1 : 0;
    if (character === ',' && depth === 0) parts.push('');
    else parts[parts.length - 1] += character;
  }
  return parts.length < LEAST_PARTS[parts[0]] ? null : parts;
}

// Name of a recipe on the page.
export function nameOf(recipe) {
  const seed = /^(\d+)(?::(\d+))?$/.exec(recipe);
  if (seed) return seed[2] === undefined ? `seed ${seed[1]}` : `seed ${seed[1]}, ${run.classes[seed[2]] ?? seed[2]}`;
  const [kind, a, b, ...rest] = partsOf(recipe) ?? ['found'];
  if (kind === 'mix') return `${inner(a)} → ${inner(b)}, ${Math.round(100 * rest[0])} %`;
  if (kind === 'sum') return `${inner(a)} − ${inner(b)} + ${inner(rest[0])}`;
  if (kind === 'move') {
    const moves = [b, ...rest].map(each => each.split('=')).map(([k, amount]) => `${Number(k) + 1}: ${amount}`);
    return `${nameOf(a)}, direction ${moves.join(', ')}`;
  }
  return recipe.replace(/^p(\d+).*$/, 'picture $1');
}

const inner = recipe => (partsOf(recipe) ? `(${nameOf(recipe)})` : nameOf(recipe)).replace('seed ', '');
