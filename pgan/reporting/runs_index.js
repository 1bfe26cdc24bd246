const find = selector => document.querySelector(selector);
const body = find('tbody'), rows = [...body.rows], runs = JSON.parse(find('#runs').textContent);
for (const image of document.querySelectorAll('img[data-run]')) {
  image.src = runs[image.dataset.run].thumbnail;
  image.hidden = false;
}

// ---------------------------------------------------------------- sorting

const NUMBERS = ['state', 'kimg', 'metric', 'time'];
let sorting = pageState.kept.sorting || ['time', -1];

function sort() {
  const [key, direction] = sorting;
  const value = row => row.querySelector('.' + key).dataset.sort;
  rows.sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === '' || b === '') return (a === '') - (b === '');  // unknown values come last
    return direction * (NUMBERS.includes(key) ? a - b : a.localeCompare(b, undefined, {numeric: true}));
  });
  body.append(...rows);
  for (const button of document.querySelectorAll('th button'))
    button.parentNode.setAttribute(
      'aria-sort', button.value !== key ? 'none' : direction > 0 ? 'ascending' : 'descending');
  find('#sort').value = key;
}

const first = key => ['kimg', 'time'].includes(key) ? -1 : 1;
for (const button of document.querySelectorAll('th button'))
  button.onclick = () => {
    sorting = [button.value, sorting[0] === button.value ? -sorting[1] : first(button.value)];
    sort();
  };
find('#sort').onchange = event => {
  sorting = [event.target.value, first(event.target.value)];
  sort();
};

// ---------------------------------------------------------------- filters

const states = [...document.querySelectorAll('[name=state]')];
const texts = new Map(rows.map(row => [row, row.textContent.toLowerCase()]));

function filter() {
  const words = find('#text').value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = states.filter(box => box.checked).map(box => box.value);
  let shown = 0;
  for (const row of rows) {
    row.hidden = !wanted.includes(row.dataset.state) ||
      !words.every(word => texts.get(row).includes(word));
    shown += !row.hidden;
  }
  find('#count').textContent = `${shown} of ${rows.length}`;
  find('#none').hidden = shown > 0;
}

find('#filters').oninput = filter;
find('#filters').onsubmit = event => event.preventDefault();
if (pageState.kept.filters) {
  find('#text').value = pageState.kept.filters.text;
  for (const box of states)
    if (box.value in pageState.kept.filters.states) box.checked = pageState.kept.filters.states[box.value];
}
pageState.keep(kept => {
  kept.sorting = sorting;
  kept.filters = {text: find('#text').value,
                  states: Object.fromEntries(states.map(box => [box.value, box.checked]))};
});

for (const button of document.querySelectorAll('.copy'))
  button.onclick = () => {
    getSelection().selectAllChildren(button.previousSibling);
    document.execCommand('copy');
    getSelection().removeAllRanges();
    button.textContent = 'Copied';
  };
sort();
filter();
pageState.restore();
loadAgain(() => false);
