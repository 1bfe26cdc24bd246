const find = selector => document.querySelector(selector);

// ---------------------------------------------------------------- pictures over time

const slider = find('#when'), pictures = [...document.querySelectorAll('#fakes img')];
let timer = null, chosen = null;  // chosen: id of the selected picture; null = the newest

function show(number) {
  pictures.forEach((picture, i) => picture.hidden = i != number);
  find('#caption').textContent = pictures[number].alt;
  slider.setAttribute('aria-valuetext', pictures[number].alt);
  slider.value = number;
}

function choose(number) {
  number = Math.min(Math.max(number, 0), pictures.length - 1);
  show(number);
  chosen = number < pictures.length - 1 ? pictures[number].id : null;
}

function stop() {
  clearInterval(timer);
  timer = null;
  find('#play').textContent = 'Play';
}

if (slider) {
  slider.oninput = () => choose(+slider.value);
  // report.html#fakes000123 opens at that picture.
  const wanted = pageState.kept.chosen !== undefined ? pageState.kept.chosen
    : location.hash.slice(1);
  const found = pictures.findIndex(picture => picture.id === wanted);
  choose(found < 0 ? pictures.length - 1 : found);
  addEventListener('hashchange', () => {
    const number = pictures.findIndex(picture => '#' + picture.id === location.hash);
    if (number >= 0) choose(number);
  });
  find('#play').onclick = () => {
    if (timer !== null) return stop();
    find('#play').textContent = 'Pause';
    let number = +slider.value < pictures.length - 1 ? +slider.value : -1;
    timer = setInterval(() => {
      choose(++number);
      if (number >= pictures.length - 1) stop();
    }, 500);
  };
  pageState.keep(kept => kept.chosen = chosen);
}

// The grids of fakes and reals scroll together.
const boxes = [...document.querySelectorAll('.pair .scroll')];
for (const box of boxes)
  box.addEventListener('scroll', () => boxes.forEach(other => {
    if (other === box) return;
    other.scrollLeft = box.scrollLeft;
    other.scrollTop = box.scrollTop;
  }));

// ---------------------------------------------------------------- full size

const viewer = find('#viewer'), viewed = new Image(), canvas = find('#canvas');
viewed.id = 'viewed';
canvas.append(viewed);
let scale = null, source = null;  // scale: screen pixels per pixel; 0 = fit, null = just opened

const isLarger = () => viewed.naturalWidth > canvas.clientWidth ||
  viewed.naturalHeight > canvas.clientHeight;

function zoom(to) {
  // Keep the centre of the view in place.
  const middle = side => (canvas['scroll' + side] + canvas['client' + (side == 'Left' ? 'Width' : 'Height')] / 2) /
    (canvas['scroll' + (side == 'Left' ? 'Width' : 'Height')] || 1);
  const x = middle('Left'), y = middle('Top');
  const fit = Math.min(canvas.clientWidth / viewed.naturalWidth,
                       canvas.clientHeight / viewed.naturalHeight) || 1;
  scale = to;
  const shown = scale || (fit > 1 ? Math.floor(fit) : fit);
  viewed.style.width = viewed.naturalWidth * shown + 'px';
  viewed.classList.toggle('crisp', shown >= 1);
  find('#viewer-scale').textContent = Math.round(100 * shown) + ' %';
  canvas.scrollLeft = x * canvas.scrollWidth - canvas.clientWidth / 2;
  canvas.scrollTop = y * canvas.scrollHeight - canvas.clientHeight / 2;
}

function step(direction) {
  const now = viewed.clientWidth / viewed.naturalWidth, steps = [1 / 8, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 16];
  const next = direction > 0 ? steps.find(value => value > now * 1.01)
    : steps.filter(value => value < now * 0.99).pop();
  if (next) zoom(next);
}

// The PNG file next to this page holds the whole grid. Without it, show the embedded part.
function view(image) {
  source = image;
  viewed.onload = () => zoom(scale === null ? isLarger() ? 1 : 0 : scale);
  viewed.onerror = () => {
    viewed.onerror = null;
    viewed.src = image.src;
    name(' (a part: the file is not next to this page)');
  };
  const name = note => find('#viewer-name').textContent = `${image.id}.png${note}`;
  name('');
  viewed.alt = image.alt;
  viewed.src = image.id + '.png';
}

for (const button of document.querySelectorAll('.open'))
  button.onclick = () => {
    scale = null;
    viewer.showModal();
    view(button.querySelector('img:not([hidden])'));
    canvas.focus();
  };
find('#larger').onclick = () => step(1);
find('#smaller').onclick = () => step(-1);
find('#fit').onclick = () => zoom(0);
find('#close').onclick = () => viewer.close();
viewed.onclick = () => zoom(scale ? 0 : Math.max(2, Math.ceil(2 * viewed.clientWidth / viewed.naturalWidth)));
viewer.addEventListener('keydown', event => {
  const act = {'+': () => step(1), '=': () => step(1), '-': () => step(-1), '0': () => zoom(0),
               '1': () => zoom(1), PageDown: () => turn(1), PageUp: () => turn(-1)}[event.key];
  if (act && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    act();
  }
});
function turn(by) {
  const number = pictures.indexOf(source) + by;
  if (!pictures.includes(source) || !pictures[number]) return;
  choose(number);
  view(pictures[number]);
}
addEventListener('resize', () => viewer.open && zoom(scale));

// ---------------------------------------------------------------- curves

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [460, 230, 58, 10, 26, 34];  // as in charts.py
const charts = [...document.querySelectorAll('.chart')].map(figure => {
  const data = JSON.parse(figure.dataset.chart);
  return {figure, ...data, svg: figure.querySelector('svg'), plot: figure.querySelector('svg g'),
          drawn: data.series, entries: [...figure.querySelectorAll('.legend b')]};
});

function element(name, attributes, text) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Exponential moving average with decay `weight`, with bias correction.
function smoothed(points, weight) {
  let sum = 0, total = 0;
  return points.map(([x, y]) => {
    if (y === null) return [x, y];
    sum = weight * sum + (1 - weight) * y;
    total = weight * total + 1 - weight;
    return [x, sum / total];
  });
}

function range(values, isLog) {
  let low = Math.min(...values), high = Math.max(...values);
  if (isLog) [low, high] = [Math.log10(low), Math.log10(high)];
  const margin = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}

function ticks([low, high]) {
  const raw = (high - low) / 5, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find(factor => power * factor >= 0.7 * raw);
  const found = [];
  for (let i = Math.ceil(low / step); i <= Math.floor(high / step); i++) found.push(i * step);
  return found;
}

const short = value => String(+value.toPrecision(4));

function draw(chart, weight, wantsLog) {
  chart.drawn = weight ? chart.series.map(points => smoothed(points, weight)) : chart.series;
  const values = [...chart.series.flat().map(([, y]) => y).filter(y => y !== null), ...chart.levels];
  chart.isLog = wantsLog && values.every(y => y > 0);
  chart.x = range(chart.series.flat().filter(([, y]) => y !== null).map(([x]) => x));
  chart.y = range(values, chart.isLog);
  const plot = chart.plot;
  plot.replaceChildren();
  const logTicks = ticks(chart.y);
  for (const tick of logTicks) {
    const y = HEIGHT - BOTTOM - (tick - chart.y[0]) / (chart.y[1] - chart.y[0]) * (HEIGHT - TOP - BOTTOM);
    plot.append(element('line', {class: 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y}),
                element('text', {class: 'y', x: LEFT - 6, y: y + 4},
                        String(+(chart.isLog ? 10 ** tick : tick).toPrecision(chart.isLog ? 2 : 6))));
  }
  for (const tick of ticks(chart.x).filter(value => value >= 0))
    plot.append(element('text', {class: 'x', x: placeX(chart, tick), y: HEIGHT - BOTTOM + 16},
                        String(+tick.toPrecision(6))));
  plot.append(element('text', {class: 'y', x: WIDTH - RIGHT, y: HEIGHT - 4}, 'kimg'));
  for (const level of chart.levels) {
    const y = placeY(chart, level);
    plot.append(element('line', {class: 'level', x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y}));
  }
  chart.series.forEach((points, i) => {
    if (weight) line(chart, points, `c${i % 6} faint`);
    line(chart, chart.drawn[i], `c${i % 6}`);
  });
  if (chart.best)
    plot.append(element('circle', {class: 'best', r: 6, cx: placeX(chart, chart.best[0]),
                                   cy: placeY(chart, chart.best[1])}));
}

function placeX(chart, x) {
  return LEFT + (x - chart.x[0]) / (chart.x[1] - chart.x[0]) * (WIDTH - LEFT - RIGHT);
}

function placeY(chart, y) {
  const place = chart.isLog ? Math.log10(y) : y;
  return HEIGHT - BOTTOM - (place - chart.y[0]) / (chart.y[1] - chart.y[0]) * (HEIGHT - TOP - BOTTOM);
}

function line(chart, points, name) {
  let stretch = [];
  for (const [x, y] of [...points, [0, null]]) {
    if (y !== null) {
      stretch.push(`${placeX(chart, x).toFixed(1)},${placeY(chart, y).toFixed(1)}`);
      if (points.length <= 30)
        chart.plot.append(element('circle', {class: name, r: 2.2, cx: placeX(chart, x), cy: placeY(chart, y)}));
    } else {
      if (stretch.length > 1)
        chart.plot.append(element('polyline', {class: name, points: stretch.join(' ')}));
      stretch = [];
    }
  }
}

function drawAll() {
  for (const chart of charts)
    if (find('#smoothing') && chart.figure.closest('#curves'))
      draw(chart, +find('#smoothing').value, find('#log').checked);
    else draw(chart, 0, false);
}

// Show the values of all charts at one kimg in their legends.
function pointAt(kimg) {
  for (const chart of charts) {
    chart.figure.querySelectorAll('.cursor').forEach(old => old.remove());
    chart.drawn.forEach((points, i) => {
      const near = kimg === null ? null : nearest(points, kimg);
      chart.entries[i].textContent = near && near[1] !== null ? short(near[1]) : '';
      if (near && i == 0)
        chart.svg.append(
          element('line', {class: 'cursor', x1: placeX(chart, near[0]), x2: placeX(chart, near[0]),
                           y1: TOP, y2: HEIGHT - BOTTOM}),
          element('text', {class: 'cursor y', x: WIDTH - RIGHT, y: 14}, `at ${short(near[0])} kimg`));
    });
  }
}

function nearest(points, kimg) {
  return points.reduce((a, b) => Math.abs(b[0] - kimg) < Math.abs(a[0] - kimg) ? b : a);
}

function kimgUnder(chart, event) {
  const box = chart.svg.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * WIDTH;
  return chart.x[0] + (x - LEFT) / (WIDTH - LEFT - RIGHT) * (chart.x[1] - chart.x[0]);
}

for (const chart of charts) {
  chart.svg.setAttribute('tabindex', 0);
  chart.svg.setAttribute('aria-label', chart.svg.getAttribute('aria-label') +
                         ': arrow keys read the values');
  chart.svg.onpointermove = event => pointAt(kimgUnder(chart, event));
  chart.svg.onpointerleave = chart.svg.onblur = () => pointAt(null);
  chart.svg.onkeydown = event => {
    const longest = chart.drawn.reduce((a, b) => b.length > a.length ? b : a);
    const last = longest.length - 1, at = chart.at === undefined ? last + 1 : chart.at;
    const to = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last}[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chart.at = Math.min(Math.max(to, 0), last);
    pointAt(longest[chart.at][0]);
    const said = [...chart.figure.querySelectorAll('.legend span')].map(entry => entry.textContent);
    find('#said').textContent = `${short(longest[chart.at][0])} kimg: ${said.join(', ')}`;
  };
}

if (find('#curve-controls')) {
  find('#curve-controls').hidden = false;
  const {smoothing, log} = pageState.kept;
  if (smoothing !== undefined) find('#smoothing').value = smoothing;
  if (log !== undefined) find('#log').checked = log;
  find('#smoothing').oninput = find('#log').onchange = drawAll;
  pageState.keep(kept => Object.assign(
    kept, {smoothing: find('#smoothing').value, log: find('#log').checked}));
}
drawAll();

// ---------------------------------------------------------------- text

for (const text of document.querySelectorAll('.status + pre')) {
  const copy = document.createElement('button');
  copy.textContent = 'Copy';
  copy.onclick = () => {
    getSelection().selectAllChildren(text);
    document.execCommand('copy');
    getSelection().removeAllRanges();
    copy.textContent = 'Copied';
  };
  text.after(copy);
}
find('#log-end').scrollTop = find('#log-end').scrollHeight;
pageState.restore();
loadAgain(() => timer !== null || viewer.open);
