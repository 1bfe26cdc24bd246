// The wall: images of consecutive seeds, drawn while scrolling. Only tiles near the viewport exist;
// requests for tiles that were scrolled past are cancelled.
import { Frame, nameOf, run } from './api.js';
import { change, onChange, state } from './state.js';

const LAST_SEED = 4294967295;
const CAPTION = 18;  // pixels
const AHEAD = 0.6;  // margin above and below the viewport, relative to its height
const MOST_ROWS = 200000;  // browsers limit the height of a page

const wall = document.getElementById('wall');
const tiles = document.getElementById('tiles');
const shown = new Map();  // place: { button, frame }
let size = 96, gap = 6, columns = 1, rows = 0;

export const recipeAt = place => {
  const seed = state.from + place;
  return state.class === null ? `${seed}` : `${seed}:${state.class}`;
};

export function setUpWall(keep) {
  tiles.addEventListener('click', event => {
    const button = event.target.closest('.tile');
    if (button) keep(recipeAt(Number(button.dataset.place)));
  });
  tiles.addEventListener('keydown', move);
  wall.addEventListener('scroll', () => requestAnimationFrame(fill), { passive: true });
  new ResizeObserver(layOut).observe(wall);
  onChange(names => {
    if (names.has('from') || names.has('class')) restart();
    else if (names.has('size')) layOut();
    else if (names.has('snapshot') || names.has('lod')) redraw();
    if (names.has('kept')) mark();
  });
}

// Small images are enlarged by integer factors.
export function tileSizes() {
  const unit = run.resolution <= 64 ? run.resolution : 32;
  const usual = run.resolution <= 64 ? 96 : 160;
  return { unit, usual: Math.max(unit, Math.round(usual / unit) * unit) };
}

function layOut() {
  const { usual } = tileSizes();
  const width = wall.clientWidth - 24;
  if (width <= 0) return;
  gap = parseInt(getComputedStyle(wall).getPropertyValue('--gap'), 10) || 6;
  const wanted = state.size || usual;
  columns = Math.max(Math.floor((width + gap) / (wanted + gap)), 1);
  size = Math.min(wanted, width);
  if (width < 500 && !state.size) {  // a phone: use the full width
    columns = run.resolution <= 64 ? 4 : 3;
    size = Math.floor((width + gap) / columns) - gap;
  }
  const first = firstVisible();
  document.documentElement.style.setProperty('--tile', `${size}px`);
  rows = Math.min(Math.ceil((LAST_SEED - state.from + 1) / columns), MOST_ROWS);
  tiles.style.width = `${columns * (size + gap) - gap}px`;
  grow(0);
  for (const [place, tile] of shown) put(tile.button, place);
  if (first > 0) wall.scrollTop = Math.floor(first / columns) * height();
  fill();
}

const height = () => size + CAPTION + gap;
const firstVisible = () => Math.floor(wall.scrollTop / height()) * columns;

// Extends the scrollable area to a few viewports below the current position.
function grow(bottom) {
  const wanted = Math.min(bottom + 4 * wall.clientHeight, rows * height() + gap);
  if (wanted > (parseFloat(tiles.style.height) || 0) || bottom === 0) {
    tiles.style.height = `${wanted + 12}px`;
  }
}

function fill() {
  const top = wall.scrollTop, window = wall.clientHeight;
  grow(top + window);
  const low = Math.max(Math.floor((top - AHEAD * window) / height()), 0) * columns;
  const high = Math.min(Math.ceil((top + (1 + AHEAD) * window) / height()), rows) * columns;
  let after = null;
  for (const [place, tile] of shown) {
    if (place >= low && place < high) continue;
    if (document.activeElement === tile.button) {  // Keep the focused tile for keyboard navigation.
      if (place < low) after = tile.button;
      continue;
    }
    tile.frame.cancel();
    tile.button.remove();
    shown.delete(place);
  }
  for (let place = low; place < high && state.from + place <= LAST_SEED; place++) {
    const tile = shown.get(place) ?? add(place, after);
    after = tile.button;
  }
}

function add(place, after) {
  const button = document.createElement('button');
  const img = document.createElement('img');
  const caption = document.createElement('span');
  button.className = 'tile';
  button.dataset.place = place;
  button.tabIndex = place === 0 || shown.size === 0 ? 0 : -1;
  img.alt = '';
  caption.textContent = state.from + place;
  button.append(img, caption);
  put(button, place);
  if (after) after.after(button);
  else tiles.prepend(button);
  const tile = { button, frame: new Frame(img, size) };
  shown.set(place, tile);
  markOne(place, tile);
  tile.frame.show(recipeAt(place));
  return tile;
}

function put(button, place) {
  button.style.transform = `translate(${place % columns * (size + gap)}px, ` +
    `${Math.floor(place / columns) * height() + 12}px)`;
}

function markOne(place, { button }) {
  const recipe = recipeAt(place), kept = state.kept.includes(recipe);
  button.setAttribute('aria-pressed', kept);
  button.setAttribute('aria-label', `${nameOf(recipe)}${kept ? ', kept' : ''}`);
}

const mark = () => shown.forEach((tile, place) => markOne(place, tile));
const redraw = () => shown.forEach((tile, place) => tile.frame.show(recipeAt(place)));

function restart() {
  for (const { button, frame } of shown.values()) {
    frame.cancel();
    button.remove();
  }
  shown.clear();
  wall.scrollTop = 0;
  layOut();
}

// ---- keys

function move(event) {
  const button = event.target.closest('.tile');
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
    PageUp: -columns * 3, PageDown: columns * 3 };
  if (!button || !(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
  const place = Number(button.dataset.place) + steps[event.key];
  event.preventDefault();
  if (place >= 0 && state.from + place <= LAST_SEED) focusPlace(place);
}

function focusPlace(place) {
  const top = Math.floor(place / columns) * height();
  grow(top + 2 * height());
  if (top < wall.scrollTop) wall.scrollTop = top;
  if (top + height() + 12 > wall.scrollTop + wall.clientHeight) {
    wall.scrollTop = top + height() + 12 - wall.clientHeight;
  }
  fill();
  shown.forEach((tile, each) => { tile.button.tabIndex = each === place ? 0 : -1; });
  shown.get(place)?.button.focus({ preventScroll: true });
}

export function resize(step) {
  const { unit, usual } = tileSizes();
  const now = state.size || usual;
  change({ size: Math.min(Math.max(now + step * unit, 32), 512) });
}
