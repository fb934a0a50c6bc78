"use strict";
// "/" goes to the search field, "?" lists the keys. Both are off where somebody types, and where somebody turned them
// off: a person who speaks to the computer types single letters without wanting to.
(() => {
  const OFF = "beacon-keys-off";
  const dialog = document.getElementById("keys");
  const used = document.getElementById("keys-used");
  const store = {
    get off() { try { return localStorage.getItem(OFF) === "1"; } catch { return false; } },
    set off(off) { try { localStorage.setItem(OFF, off ? "1" : "0"); } catch { /* not kept: a private window */ } },
  };
  const search = () => document.querySelector("[role=search] input[type=search]");
  function find() {
    const field = search();
    if (!field) { location.assign("/#q"); return; }
    field.focus();
    field.select();
  }
  // A dialog that has just closed keeps the focus until the page is painted again: nobody types there.
  const typed = (place) => place.closest("input, textarea, select, [contenteditable], dialog") && !place.closest("dialog:not([open])");
  window.isKey = (event) => // the keys of a page ask too
    !(event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || store.off || typed(event.target));
  document.addEventListener("keydown", (event) => {
    if (!isKey(event)) return;
    if (event.key === "/") { event.preventDefault(); find(); }
    if (event.key === "?") { event.preventDefault(); dialog.showModal(); }
  });
  used.checked = !store.off;
  used.addEventListener("change", () => { store.off = !used.checked; });
  document.getElementById("keys-show").addEventListener("click", () => dialog.showModal());
  if (location.hash === "#q") search()?.focus();
})();
