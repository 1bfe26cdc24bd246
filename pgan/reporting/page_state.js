'use strict';
// What a page that loads itself again keeps: from file:, too, where there is no server to ask.
const pageState = (() => {
  const key = 'pgan ' + location.pathname;
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(key)) || {};
  } catch { /* storage is forbidden, or holds something else: begin from nothing */ }
  const keepers = [];
  function save() {
    kept.scroll = [scrollX, scrollY];
    kept.open = Object.fromEntries(
      [...document.querySelectorAll('details[id]')].map(part => [part.id, part.open]));
    kept.focus = document.activeElement && document.activeElement.id;
    keepers.forEach(keep => keep(kept));
    try {
      sessionStorage.setItem(key, JSON.stringify(kept));
    } catch { /* then the page starts at its top */ }
  }
  function restore() {
    for (const part of document.querySelectorAll('details[id]'))
      if (kept.open && part.id in kept.open) part.open = kept.open[part.id];
    if (!kept.scroll) return;
    history.scrollRestoration = 'manual';
    const element = kept.focus && document.getElementById(kept.focus);
    if (element) element.focus({preventScroll: true});
    scrollTo(...kept.scroll);
  }
  addEventListener('pagehide', save);
  return {kept, save, restore, keep: keeper => keepers.push(keeper)};
})();

// A page with a switch #refresh loads itself again, unless somebody is looking at a detail.
function loadAgain(isBusy) {
  const refresh = document.querySelector('#refresh');
  if (!refresh) return;
  if (pageState.kept.refresh === false) refresh.checked = false;
  pageState.keep(kept => kept.refresh = refresh.checked);
  const due = Date.now() + 1000 * refresh.dataset.seconds;
  setInterval(() => {
    const isSelecting = String(getSelection()) !== '';
    if (!refresh.checked || document.hidden || Date.now() < due || isSelecting || isBusy()) return;
    pageState.save();
    location.reload();
  }, 1000);
}
