'use strict';
// State that survives a reload of the page, also for pages opened from file: without a server.
const pageState = (() => {
  const key = 'pgan ' + location.pathname;
  let kept = {};
  try {
    kept = JSON.parse(sessionStorage.getItem(key)) || {};
  } catch { /* Storage is forbidden or holds invalid data: start with the default state. */ }
  const keepers = [];
  function save() {
    kept.scroll = [scrollX, scrollY];
    kept.open = Object.fromEntries(
      [...document.querySelectorAll('details[id]')].map(part => [part.id, part.open]));
    kept.focus = document.activeElement && document.activeElement.id;
    keepers.forEach(keep => keep(kept));
    try {
      sessionStorage.setItem(key, JSON.stringify(kept));
    } catch { /* The state is lost, and the page starts at the top. */ }
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

// A page with a checkbox #refresh reloads itself, unless the user is inspecting something.
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
