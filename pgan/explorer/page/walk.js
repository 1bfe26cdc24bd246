// The Walk tool: interpolation from each kept image to the next.
import { follow, Frame, post, run, tell } from './api.js';
import { change, isSeed, onChange, state } from './state.js';

const by = id => document.getElementById(id);
const frame = new Frame(by('walk-big'), 360);
let started = 0, startedAt = 0, playing = false;

export function recipeOnWalk(kept, place, loop) {
  const segments = loop ? kept.length : kept.length - 1;
  const at = Math.min(place, 1) * segments;
  const start = Math.min(Math.floor(at), segments - 1);
  const share = (0.5 - 0.5 * Math.cos(Math.PI * (at - start))).toFixed(3);
  const [a, b] = [kept[start], kept[(start + 1) % kept.length]];
  return Number(share) === 0 ? a : Number(share) === 1 ? b : `mix(${a},${b},${share})`;
}

export function setUpWalk() {
  by('walk-place').addEventListener('input', event => {
    stop();
    change({ place: Number(event.target.value) });
  });
  by('walk-play').addEventListener('click', () => (playing ? stop() : play()));
  by('walk-loop').addEventListener('change', event => change({ loop: event.target.checked }));
  by('walk-seconds').addEventListener('change', event => {
    change({ seconds: Math.min(Math.max(Number(event.target.value) || 6, 1), 120) });
  });
  by('walk-mp4').addEventListener('click', save);
  by('walk-copy').addEventListener('click', copy);
  onChange(draw);
  draw();
}

export const isPlaying = () => playing;

export function play() {
  if (state.kept.length < 2) return;
  playing = true;
  started = performance.now();
  startedAt = state.place >= 1 ? 0 : state.place;
  requestAnimationFrame(step);
  showPlaying();
}

export function stop() {
  playing = false;
  showPlaying();
  draw();
}

function showPlaying() {
  by('walk-play').setAttribute('aria-pressed', playing);
  by('walk-play').textContent = playing ? 'Pause' : 'Play';
}

function step(now) {
  if (!playing) return;
  if (state.tab !== 'walk' || state.kept.length < 2) return stop();
  // The first frame may have started before the click.
  const place = startedAt + Math.max(now - started, 0) / 1000 / state.seconds;
  if (place >= 1 && !state.loop) {
    change({ place: 1 });
    return stop();
  }
  change({ place: Math.round(place % 1 * 1000) / 1000 });
  requestAnimationFrame(step);
}

function draw() {
  if (state.tab !== 'walk') return;
  by('walk-loop').checked = state.loop;
  if (document.activeElement !== by('walk-seconds')) by('walk-seconds').value = state.seconds;
  by('walk-place').value = state.place;
  if (state.kept.length < 2) return;
  frame.show(recipeOnWalk(state.kept, state.place, state.loop), { moving: playing });
  drawCommand();
}

// generate_interpolation_video accepts seeds, all of one class or of the classes they determine.
function drawCommand() {
  const classes = new Set(state.kept.map(recipe => recipe.split(':')[1]));
  const fits = state.kept.every(isSeed) && classes.size === 1;
  by('walk-command').hidden = by('walk-copy').parentElement.hidden = !fits;
  by('walk-note').textContent = fits ? 'A closed loop through the same images, written to results.' :
    'Not available: generate_interpolation_video accepts only seeds, all of one class.';
  if (!fits) return;
  const [label] = classes, { name, kimg } = run.snapshots[state.snapshot ?? run.snapshot];
  const snapshot = kimg ?? (name === 'network-best.pkl' ? 'best' : null);
  const seeds = state.kept.map(recipe => recipe.split(':')[0]).join(',');
  by('walk-command').textContent = `${run.command} --seeds ${seeds} --duration_sec ` +
    `${state.seconds}${label === undefined ? '' : ` --labels ${label}`}` +
    `${snapshot === null || run.snapshots.length < 2 ? '' : ` --snapshot ${snapshot}`}`;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(by('walk-command').textContent);
    by('walk-copy').textContent = 'Copied';
    setTimeout(() => { by('walk-copy').textContent = 'Copy'; }, 1500);
  } catch {
    getSelection().selectAllChildren(by('walk-command'));
  }
}

async function save() {
  by('walk-mp4').disabled = true;
  try {
    const task = await follow(await post('videos', {
      of: state.kept, snapshot: state.snapshot ?? run.snapshot, seconds: state.seconds,
      loop: state.loop,
    }), ({ done, total }) => {
      by('walk-progress').textContent = total ? `frame ${done} of ${total}` : 'waiting';
    });
    by('walk-progress').textContent = 'done';
    const link = document.createElement('a');
    link.href = `tasks/${task.task}/video`;
    link.download = 'walk.mp4';
    link.click();
  } catch (error) {
    by('walk-progress').textContent = '';
    tell(error.message);
  }
  by('walk-mp4').disabled = false;
}
