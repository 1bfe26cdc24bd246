// The tray: kept images, in order.
import { arrayAddress, Frame, nameOf, run, sheetAddress } from './api.js';
import { change, chosenRecipe, onChange, state } from './state.js';

const box = document.getElementById('kept');
const frames = new Map();  // recipe: { element, frame }

export function toggle(recipe) {
  const place = state.kept.indexOf(recipe);
  if (place < 0) keep(recipe);
  else remove(place);
}

export function keep(recipe) {
  const place = state.kept.indexOf(recipe);
  if (place >= 0) return change({ chosen: place, moves: {} });
  change({ kept: [...state.kept, recipe], chosen: state.kept.length, moves: {} });
  box.lastElementChild?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

export function remove(place) {
  const kept = state.kept.filter((_, each) => each !== place);
  change({ kept, chosen: Math.min(state.chosen - (place < state.chosen), kept.length - 1), moves: {} });
}

export function setUpTray() {
  box.addEventListener('click', event => {
    const element = event.target.closest('.kept');
    if (!element) return;
    const place = state.kept.indexOf(element.dataset.recipe);
    if (event.target.closest('.remove')) remove(place);
    else change({ chosen: place, moves: {}, tab: state.tab || 'image' });
  });
  box.addEventListener('keydown', keys);
  document.getElementById('tray-clear').addEventListener('click',
    () => change({ kept: [], chosen: -1, moves: {} }));
  const menu = document.getElementById('tray-save');
  menu.addEventListener('click', event => { if (event.target.closest('a')) menu.open = false; });
  addEventListener('click', event => { if (!menu.contains(event.target)) menu.open = false; });
  onChange(names => {
    if (['kept', 'chosen', 'snapshot', 'lod'].some(name => names.has(name))) draw();
  });
  draw();
}

function keys(event) {
  const element = event.target.closest('.kept');
  if (!element) return;
  const place = state.kept.indexOf(element.dataset.recipe);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const to = place + step;
  if (event.key === 'Delete' || event.key === 'Backspace') {
    remove(place);
    box.children[Math.min(place, state.kept.length - 1)]?.focus();
  } else if ((event.key === 'Enter' || event.key === ' ') && event.target === element) {
    change({ chosen: place, moves: {}, tab: state.tab || 'image' });
  } else if (step && to >= 0 && to < state.kept.length) {
    if (event.altKey) exchange(place, to);
    else change({ chosen: to, moves: {} });
    box.children[to].focus();
  } else return;
  event.preventDefault();
}

function exchange(place, to) {
  const kept = [...state.kept];
  [kept[place], kept[to]] = [kept[to], kept[place]];
  change({ kept, chosen: to });
}

function draw() {
  for (const [recipe, { element, frame }] of frames) {
    if (state.kept.includes(recipe)) continue;
    frame.cancel();
    element.remove();
    frames.delete(recipe);
  }
  state.kept.forEach((recipe, place) => {
    const { element, frame } = frames.get(recipe) ?? add(recipe);
    if (box.children[place] !== element) box.insertBefore(element, box.children[place] ?? null);
    const isChosen = place === state.chosen;
    element.setAttribute('aria-selected', isChosen);
    element.tabIndex = isChosen || state.chosen < 0 && place === 0 ? 0 : -1;
    frame.show(recipe);
  });
  const some = state.kept.length > 0;
  document.getElementById('tray-hint').hidden = some;
  document.getElementById('tray-actions').hidden = !some;
  document.getElementById('tray-labels').hidden = !run.classes.length;
  if (!some) return;
  document.getElementById('tray-sheet').href = sheetAddress(state.kept);
  document.getElementById('tray-npy').href = arrayAddress('latents', state.kept);
  document.getElementById('tray-labels').href = arrayAddress('labels', state.kept);
}

function add(recipe) {
  const element = document.createElement('div');
  const img = document.createElement('img');
  const removal = document.createElement('span');  // for the mouse; the keyboard shortcut is Delete
  element.className = 'kept';
  element.dataset.recipe = recipe;
  element.setAttribute('role', 'option');
  element.setAttribute('aria-label', nameOf(recipe));
  element.title = nameOf(recipe);
  img.alt = '';
  removal.className = 'remove';
  removal.textContent = '×';
  removal.title = `Remove ${nameOf(recipe)}`;
  removal.setAttribute('aria-hidden', 'true');
  element.append(img, removal);
  const item = { element, frame: new Frame(img, 56) };
  frames.set(recipe, item);
  return item;
}

export { chosenRecipe };
