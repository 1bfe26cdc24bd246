// Addresses of the server, and how images come onto the page.
import { state } from './state.js';

export const run = {};  // what the server tells of the run, see loadRun

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

// Waits for a task; `report` is told of it on the way. Returns the task.
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
// Browsers keep images; what projection 1 found is another image for another server.
const session = recipe => (/(^|\W)p\d/.test(recipe) ? run.session : null);
export const imageAddress = (recipe, options) => (
  `image?${query([recipe], { ...view(), session: session(recipe), ...options })}`);
export const sheetAddress = recipes => `sheet?${query(recipes, view())}`;
export const arrayAddress = (kind, recipes) => `${kind}?${query(recipes, {})}`;

// The largest power of two by which images may be shrunk to fill so many pixels of the page.
function shrinkFor(pixels) {
  let shrink = 1;
  while (run.resolution / (2 * shrink) >= pixels * Math.min(devicePixelRatio, 2)) shrink *= 2;
  return shrink;
}

// Whole images of large networks are asked for when no first ones are under way, as browsers keep
// few connections: { firsts, wholes } under way, and the frames that wait for a whole one.
const traffic = { firsts: 0, wholes: 0, waiting: [] };
const MOST_WHOLES = 2;

function startWholes() {
  while (!traffic.firsts && traffic.wholes < MOST_WHOLES && traffic.waiting.length) {
    traffic.waiting.shift().startWhole();
  }
}

// An <img> that shows one recipe after the other: at most one request is under way, and the newest
// wish comes next. Large networks are shown coarsely first.
export class Frame {
  #phase = '';  // of traffic: 'firsts' or 'wholes' while a request is under way
  #next = null;  // addresses: of the first image, and perhaps of the whole
  #whole = null;
  #wish = '';

  #loader = new Image();  // so that the image before stays until the next one is there

  constructor(img, pixels) {
    this.img = img;
    this.pixels = pixels;
    img.decoding = 'sync';
    this.#loader.addEventListener('load', () => this.#loaded(true));
    this.#loader.addEventListener('error', () => this.#loaded(false));
  }

  // moving: another recipe follows soon, so a coarse image will do.
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
    if (this.#whole) {  // large ones first
      if (this.pixels > 200) traffic.waiting.unshift(this);
      else traffic.waiting.push(this);
    }
    this.#enter('');
    if (this.#next) this.#startNext();
  }
}

// Says why an image has not come; once for all that fail together.
let explainedAt = 0;
async function explain(address) {
  if (performance.now() - explainedAt < 5000) return;
  explainedAt = performance.now();
  try {
    const response = await fetch(address);
    if (!response.ok) tell((await response.json()).error);
  } catch {
    tell('The explorer no longer answers: it has been ended, or its machine cannot be reached.');
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

// The parts of 'mix(A,B,0.5)': ['mix', 'A', 'B', '0.5']; null for other recipes.
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
  return parts;
}

// What a recipe is called on the page.
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
