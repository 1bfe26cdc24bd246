// The Picture tool: projection of the user's own picture.
import { cancel, follow, Frame, run, tell, upload } from './api.js';
import { onChange, state } from './state.js';
import { keep } from './tray.js';

const by = id => document.getElementById(id);
const frame = new Frame(by('picture-big'), 180);
let found = null;  // { projection, steps, task, isDone }

export function setUpPicture() {
  const drop = by('drop');
  by('picture-file').addEventListener('change', event => start(event.target.files[0]));
  drop.addEventListener('dragover', event => { event.preventDefault(); drop.classList.add('over'); });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', event => {
    event.preventDefault();
    drop.classList.remove('over');
    start(event.dataTransfer.files[0]);
  });
  by('picture-class-field').hidden = !run.classes.length;
  by('picture-class').append(new Option('best match', ''),
    ...run.classes.map((name, number) => new Option(name, number)));
  by('picture-step').addEventListener('input', draw);
  by('picture-keep').addEventListener('click', () => keep(`p${found.projection}`));
  by('picture-stop').addEventListener('click', () => cancel(found.task));
  by('picture-big').addEventListener('load', () => { by('picture-result').hidden = false; });
  onChange(draw);
}

async function start(file) {
  if (!file) return;
  const label = by('picture-class').value;
  try {
    const task = await upload(`projections${label ? `?class=${label}` : ''}`, file);
    found = { task: task.task, projection: null, steps: 0, isDone: false };
    by('picture-target').src = `tasks/${task.task}/target`;
    by('picture-found').hidden = false;
    frame.cancel();  // an earlier picture's
    by('picture-result').hidden = true;
    by('picture-name').textContent = 'Closest so far';
    by('picture-step').hidden = true;
    by('picture-keep').disabled = true;
    by('picture-stop').hidden = false;
    finish(await follow(task, progress));
  } catch (error) {
    by('picture-progress').textContent = '';
    tell(error.message);
  }
  by('picture-file').value = '';
}

function progress(task) {
  if (task.task !== found.task) return;
  by('picture-progress').textContent = task.projection === undefined ? 'trying random latents' :
    `step ${task.done} of ${task.total}, loss ${task.loss.toFixed(3)}`;
  if (task.projection === undefined) return;
  Object.assign(found, { projection: task.projection, steps: task.step });
  if (task.state === 'running') frame.show(`p${task.projection}.${task.step}`, { moving: true });
}

function finish(task) {
  if (task.task !== found.task) return;
  by('picture-stop').hidden = true;
  if (task.state !== 'done') {
    by('picture-progress').textContent = 'stopped';
    return;
  }
  found.isDone = true;
  found.projection = task.projection;
  found.steps = task.total;
  by('picture-progress').textContent = `Done: PSNR ${task.psnr.toFixed(1)} dB`;
  by('picture-keep').disabled = false;
  Object.assign(by('picture-step'), { max: task.total, value: task.total, hidden: false });
  draw();
}

function draw() {
  if (!found?.isDone || state.tab !== 'picture') return;
  const step = Number(by('picture-step').value);
  const isLast = step >= found.steps;
  by('picture-name').textContent = isLast ? 'Closest image' : `After ${step} steps`;
  frame.show(isLast ? `p${found.projection}` : `p${found.projection}.${step}`);
}
