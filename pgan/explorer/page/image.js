// The Image tool: enlarge an image, move it along directions, save it, find its nearest training
// images.
import { arrayAddress, follow, Frame, imageAddress, nameOf, post, run, tell } from './api.js';
import { change, chosenRecipe, onChange, state } from './state.js';
import { keep } from './tray.js';

const by = id => document.getElementById(id);
const frame = new Frame(by('image-big'), 360);
let nearestOf = '';

// The chosen image, moved along the directions as set by the sliders.
export function movedRecipe() {
  const recipe = chosenRecipe();
  const moves = Object.entries(state.moves).filter(([, amount]) => amount);
  if (recipe === null || !moves.length || !run.directions) return recipe;
  return `move(${recipe}${moves.map(([k, amount]) => `,${k}=${amount}`).join('')})`;
}

export function setUpImage() {
  by('image-keep').addEventListener('click', () => keep(movedRecipe()));
  by('image-nearest').addEventListener('click', findNearest);
  by('image-nearest').hidden = !run.dataset;
  drawDirections();
  onChange(names => {
    if (names.has('moves') && !Object.keys(state.moves).length) resetSliders();
    draw();
  });
  draw();
}

function draw() {
  if (state.tab !== 'image') return;
  const recipe = movedRecipe();
  if (recipe === null) return;
  frame.show(recipe);
  by('image-big').alt = by('image-name').textContent = nameOf(recipe);
  by('image-keep').disabled = state.kept.includes(recipe);
  by('image-png').href = imageAddress(recipe, { download: 1 });
  by('image-npy').href = arrayAddress('latents', [recipe]);
  if (nearestOf !== recipe) by('nearest').replaceChildren();
}

// ---- directions

function drawDirections() {
  const box = by('directions');
  box.replaceChildren();
  if (!run.directions) {
    const note = element('p', 'note', 'Latent directions along which images change most. Computed once.');
    const button = element('button', '', 'Find directions');
    const progress = element('span', 'note', '');
    progress.setAttribute('role', 'status');
    const actions = element('p', 'actions');
    actions.append(button, progress);
    button.addEventListener('click', () => findDirections(button, progress));
    box.append(note, actions);
    return;
  }
  run.directions.shares.forEach((share, k) => box.append(slider(k, share)));
  const reset = element('button', '', 'All to zero');
  reset.addEventListener('click', () => change({ moves: {} }));
  const actions = element('p', 'actions');
  actions.append(reset);
  box.append(actions);
}

function slider(k, share) {
  const row = element('div', 'slider'), label = element('label', '', `${k + 1} (${(100 * share).toFixed(0)} %)`);
  const input = element('input'), output = element('output', '', state.moves[k] ?? 0);
  label.htmlFor = input.id = `direction-${k}`;
  label.title = `Direction ${k + 1}: ${(100 * share).toFixed(1)} % of the variance of the ${run.directions.layer}`;
  Object.assign(input, { type: 'range', min: -4, max: 4, step: 0.1, value: state.moves[k] ?? 0 });
  input.addEventListener('input', () => {
    output.textContent = Number(input.value);
    change({ moves: { ...state.moves, [k]: Number(input.value) } });
  });
  input.addEventListener('dblclick', () => {
    input.value = 0;
    input.dispatchEvent(new Event('input'));
  });
  row.append(label, input, output);
  return row;
}

function resetSliders() {
  for (const row of by('directions').querySelectorAll('.slider')) {
    row.children[1].value = 0;
    row.children[2].textContent = 0;
  }
}

async function findDirections(button, progress) {
  button.disabled = true;
  try {
    const task = await follow(await post('directions', {}), ({ done, total }) => {
      progress.textContent = total ? `${done} of ${total} images` : 'waiting';
    });
    const { shares, layer, kept } = task;
    if (shares) run.directions = { shares, layer, kept };
    drawDirections();
  } catch (error) {
    button.disabled = false;
    progress.textContent = '';
    tell(error.message);
  }
}

// ---- nearest training images

async function findNearest() {
  const recipe = nearestOf = movedRecipe(), box = by('nearest');
  const progress = element('progress');
  progress.setAttribute('aria-label', 'Training images compared');
  box.replaceChildren(progress);
  by('image-nearest').disabled = true;
  try {
    const task = await follow(await post('nearest', {
      of: recipe, snapshot: state.snapshot ?? run.snapshot,
    }), ({ done, total }) => {
      if (total) Object.assign(progress, { max: total, value: done });
    });
    if (nearestOf === movedRecipe()) {
      box.replaceChildren(...task.spaces.flatMap((space, index) => row(task, space, index)));
      if (task.done < task.of) box.append(element('p', 'note', `Compared with ${task.done} of ${task.of} training images.`));
    }
  } catch (error) {
    box.replaceChildren();
    tell(error.message);
  }
  by('image-nearest').disabled = false;
}

function row(task, space, index) {
  const list = element('div', 'neighbours');
  space.neighbours.forEach((neighbour, place) => {
    const figure = element('figure'), img = element('img');
    img.src = `tasks/${task.task}/${index}/${place}`;
    img.alt = `training image ${neighbour.image}${neighbour.mirrored ? ', mirrored' : ''}`;
    img.title = img.alt;
    figure.append(img, element('figcaption', '', neighbour.distance.toFixed(2)));
    list.append(figure);
  });
  return [element('p', 'note', `By ${space.words}; 1 is the typical distance of a training image to its nearest other one.`),
    list, element('p', 'verdict', space.verdict)];
}

export function element(name, className = '', text = '') {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
