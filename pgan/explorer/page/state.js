// State of the page, kept in its address so that it can be bookmarked.

export const run = {};  // metadata of the run, see loadRun in api.js

export const state = {
  from: 0, class: null, snapshot: null, lod: null, size: 0,
  kept: [], chosen: -1, tab: '', moves: {}, place: 0, loop: true, seconds: 6,
};

const SEED = /^\d{1,10}(:\d{1,5})?$/;
const listeners = [];
let timer = 0;

// Registers a function that is called with the set of changed names.
export const onChange = listener => listeners.push(listener);

export function change(values) {
  const names = new Set(Object.keys(values));
  Object.assign(state, values);
  for (const listener of listeners) listener(names);
  clearTimeout(timer);
  timer = setTimeout(() => history.replaceState(null, '', `#${written()}`), 250);
}

export const isSeed = recipe => SEED.test(recipe);
export const chosenRecipe = () => state.kept[state.chosen] ?? null;

// The address names snapshots: their indices change when a running run saves more.
export const shortName = snapshot => snapshot.name.replace(/^network-(snapshot-)?|\.pkl$/g, '');

export function written() {
  const words = new URLSearchParams();
  const put = (name, value, usual) => { if (value !== usual) words.set(name, value); };
  put('from', state.from, 0);
  put('class', state.class, null);
  if (state.snapshot !== null) words.set('at', shortName(run.snapshots[state.snapshot]));
  put('lod', state.lod, null);
  put('size', state.size, 0);
  if (state.kept.length) words.set('kept', state.kept.join('~'));
  put('chosen', state.chosen, -1);
  put('tab', state.tab, '');
  put('place', state.place, 0);
  put('loop', state.loop, true);
  put('seconds', state.seconds, 6);
  const moves = Object.entries(state.moves).filter(([, amount]) => amount);
  if (moves.length) words.set('move', moves.map(([k, amount]) => `${k}=${amount}`).join(','));
  return words.toString().replaceAll('%7E', '~').replaceAll('%2C', ',').replaceAll('%28', '(').replaceAll('%29', ')')
    .replaceAll('%3A', ':').replaceAll('%3D', '=');
}

// Parses the address; invalid values are ignored.
export function read(text) {
  const words = new URLSearchParams(text.replace(/^#/, ''));
  const whole = (name, usual, most = 4294967295) => {
    const value = words.get(name);
    return /^\d{1,10}$/.test(value ?? '') && Number(value) <= most ? Number(value) : usual;
  };
  const number = (name, usual, low, high) => {
    const value = Number(words.get(name) ?? NaN);
    return value >= low && value <= high ? value : usual;
  };
  state.from = whole('from', 0);
  state.class = whole('class', null);
  const at = run.snapshots.findIndex(snapshot => shortName(snapshot) === words.get('at'));
  state.snapshot = at < 0 ? null : at;
  state.lod = whole('lod', null, 12);
  state.size = whole('size', 0, 1024);
  state.kept = (words.get('kept') ?? '').split('~').filter(each => each && each.length <= 1000)
    .slice(0, 200);
  state.chosen = Math.min(whole('chosen', -1), state.kept.length - 1);
  state.tab = ['image', 'walk', 'mix', 'picture'].includes(words.get('tab')) ? words.get('tab') : '';
  state.place = number('place', 0, 0, 1);
  state.loop = words.get('loop') !== 'false';
  state.seconds = number('seconds', 6, 1, 120);
  state.moves = Object.fromEntries((words.get('move') ?? '').split(',')
    .map(each => /^(\d{1,3})=(-?\d{1,2}(?:\.\d{1,3})?)$/.exec(each)).filter(Boolean)
    .map(found => [found[1], Number(found[2])]));
}
