// The page: bar, tools and keyboard shortcuts.
import { get, loadRun, run, tell } from './api.js';
import { setUpImage } from './image.js';
import { setUpMix } from './mix.js';
import { setUpPicture } from './picture.js';
import { change, onChange, read, shortName, state } from './state.js';
import { remove, setUpTray, toggle } from './tray.js';
import { isPlaying, play, setUpWalk, stop } from './walk.js';
import { resize, setUpWall } from './wall.js';

const by = id => document.getElementById(id);
const PAUSE = 30;  // seconds between searches for new snapshots
const TABS = { image: 'Image', walk: 'Walk', mix: 'Mix', picture: 'Your picture' };

async function start() {
  await loadRun();
  read(location.hash);
  repair();
  document.title = `${run.title} - explorer`;
  by('title').textContent = by('title').title = run.title;
  document.body.classList.toggle('pixels', run.resolution <= 64);
  setUpBar();
  setUpTools();
  setUpWall(toggle);
  setUpTray();
  setUpImage();
  setUpWalk();
  setUpMix();
  setUpPicture();
  addEventListener('keydown', keys);
  addEventListener('hashchange', () => { read(location.hash); repair(); change({ ...state }); });
  onChange(show);
  show(new Set(['tab']));
  setInterval(lookForSnapshots, 1000 * PAUSE);
}

// The address may belong to another run.
function repair() {
  if (state.class !== null && state.class >= run.classes.length) state.class = null;
  if (!run.lods.some(({ lod }) => lod === state.lod)) state.lod = null;
}

// ---- the bar

function setUpBar() {
  by('jump').addEventListener('submit', event => {
    event.preventDefault();
    const text = by('seed').value.trim();
    if (!/^\d{1,10}$/.test(text) || Number(text) > 4294967295) {
      return tell('A seed is an integer from 0 to 4294967295.');
    }
    change({ from: Number(text) });
    by('seed').blur();
  });
  by('class-field').hidden = !run.classes.length;
  by('class').append(new Option('any', ''), ...run.classes.map((name, k) => new Option(name, k)));
  by('class').addEventListener('change', event => {
    change({ class: event.target.value === '' ? null : Number(event.target.value) });
  });
  by('time').addEventListener('input', event => change({ snapshot: Number(event.target.value) }));
  by('detail-field').hidden = run.lods.length < 2;
  by('detail').max = run.lods.length - 1;
  by('detail').addEventListener('input', event => {
    const place = Number(event.target.value);
    change({ lod: place === run.lods.length - 1 ? null : run.lods[place].lod });
  });
}

// A running run saves further snapshots.
async function lookForSnapshots() {
  if (document.hidden) return;
  let found = [];
  try {
    ({ snapshots: found } = await get('about'));
  } catch {
    return;  // Images that fail to load say why.
  }
  if (found.length <= run.snapshots.length) return;
  run.snapshots = found;
  showBar();
  tell(`A new snapshot: ${nameOfSnapshot(found.at(-1))}. Move the slider 'Time' to see it.`);
}

const nameOfSnapshot = snapshot => (snapshot.kimg === null ? shortName(snapshot) : `${snapshot.kimg} kimg`);

function showBar() {
  const snapshot = state.snapshot ?? run.snapshot;
  const place = state.lod === null ? run.lods.length - 1 : run.lods.findIndex(({ lod }) => lod === state.lod);
  if (document.activeElement !== by('seed')) by('seed').value = state.from;
  by('class').value = state.class ?? '';
  by('time-field').hidden = run.snapshots.length < 2;
  by('time').max = run.snapshots.length - 1;
  by('time').value = snapshot;
  by('time-value').textContent = nameOfSnapshot(run.snapshots[snapshot]);
  by('time').setAttribute('aria-valuetext', by('time-value').textContent);
  by('detail').value = place;
  by('detail-value').textContent = run.lods.length ? `${run.lods[place].side}×${run.lods[place].side}` : '';
  by('detail').setAttribute('aria-valuetext', by('detail-value').textContent);
}

// ---- the tools

function setUpTools() {
  for (const button of document.querySelectorAll('[data-tab]')) {
    button.addEventListener('click', event => {
      open(button.dataset.tab);
      if (event.detail) button.blur();  // After a click, Space is for the tool, not for its button.
    });
  }
  by('close').addEventListener('click', () => open(''));
  by('help-button').addEventListener('click', () => by('help').showModal());
}

function open(tab) {
  const before = state.tab;
  change({ tab: tab === before ? '' : tab });
  if (!state.tab) document.querySelector(`[data-tab="${before}"]`)?.focus();
}

function show(names) {
  showBar();
  if (!names.has('tab') && !names.has('kept') && !names.has('chosen')) return;
  by('bench').hidden = !state.tab;
  by('bench-title').textContent = TABS[state.tab] ?? '';
  for (const button of document.querySelectorAll('[data-tab]')) {
    button.setAttribute('aria-expanded', button.dataset.tab === state.tab);
  }
  for (const tab of Object.keys(TABS)) {
    const section = by(`tab-${tab}`), empty = section.querySelector('.empty');
    section.hidden = tab !== state.tab;
    if (!empty) continue;
    const isFilled = tab === 'image' ? state.chosen >= 0 : state.kept.length >= 2;
    empty.hidden = isFilled;
    section.querySelector('.filled').hidden = !isFilled;
  }
}

// ---- keys

function keys(event) {
  const isField = event.target.matches('input:not([type="range"]):not([type="checkbox"]), select, textarea');
  if (event.ctrlKey || event.metaKey || event.altKey || by('help').open) return;
  if (event.key === 'Escape') {
    if (isField) event.target.blur();
    else if (state.tab) open('');
    return;
  }
  if (isField) return;
  const step = { '[': -1, ']': 1 }[event.key];
  const tab = Object.keys(TABS)['1234'.indexOf(event.key)];
  if (event.key === '/') by('seed').select();
  else if (event.key === '?') by('help').showModal();
  else if (tab && '1234'.includes(event.key)) open(tab);
  else if (event.key === '+' || event.key === '=') resize(1);
  else if (event.key === '-') resize(-1);
  else if (step) {
    const to = (state.snapshot ?? run.snapshot) + step;
    if (to >= 0 && to < run.snapshots.length) change({ snapshot: to });
  } else if (event.key === ' ' && state.tab === 'walk' && !event.target.closest('button, .kept')) {
    if (isPlaying()) stop();
    else play();
  } else if (event.key === 'Delete' && state.chosen >= 0 && !event.target.closest('.kept')) remove(state.chosen);
  else return;
  event.preventDefault();
}

start().catch(error => tell(`The explorer does not answer: ${error.message}`));
