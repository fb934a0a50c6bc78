"use strict";
// What clicks do: copy a text, lead from a cell to its call; and an address that names a folded block opens it.
(() => {
  document.documentElement.classList.add("scripted");
  // The clipboard's interface is there on https and localhost only; the older way needs a selected field.
  async function copy(text) {
    if (navigator.clipboard) { await navigator.clipboard.writeText(text); return true; }
    const field = Object.assign(document.createElement("textarea"), { value: text, className: "hidden" });
    const back = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    back?.focus();
    return done;
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const named = button.dataset.copyOf && document.getElementById(button.dataset.copyOf);
    const done = await copy(named ? named.textContent : button.dataset.copy).catch(() => false);
    if (done) button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 2000);
    window.portal.tell(done ? "· copied" : "· the browser did not allow copying");
  });

  // A whole cell leads where its link does, but for somebody who selects its text.
  document.addEventListener("click", (event) => {
    const call = event.target.closest(".answers .call");
    if (!call || event.target.closest("a, button") || event.defaultPrevented) return;
    if (String(document.getSelection())) return;
    call.querySelector("a.state")?.click();
  });

  function unfold() {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const block = named?.closest("details");
    if (block && !block.open) { block.open = true; named.scrollIntoView(); }
  }
  window.addEventListener("hashchange", unfold);
  unfold();
})();
