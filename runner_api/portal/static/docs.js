"use strict";
// The page that describes the API: sends GETs from the page, and keeps to the language that one has opened.
(() => {
  const newest = {};
  // The ids of the newest job and execution of this host, in place of those of the example.
  async function ids() {
    if (!newest.asked) {
      newest.asked = (async () => {
        const answer = await fetch("/api/v1/executions?limit=1", { headers: { Accept: "application/json" } });
        const [first] = answer.ok ? (await answer.json()).executions ?? [] : [];
        return first ? { job_id: first.job_id, name: first.job_id, result_id: first.id } : {};
      })().catch(() => ({}));
    }
    return newest.asked;
  }
  for (const form of document.querySelectorAll("form.try")) {
    const [path, token] = [form.querySelector(".path"), form.querySelector(".token")];
    const [status, shown] = [form.querySelector("[role=status]"), form.querySelector("pre")];
    const block = form.closest("details");
    async function fill() {
      if (!block.open || path.value !== path.defaultValue) return;
      const known = await ids();
      const names = [...form.dataset.path.matchAll(/\{(\w+)\}/g)].map((found) => found[1]);
      if (!names.length || !names.every((name) => known[name]) || path.value !== path.defaultValue) return;
      const query = path.defaultValue.split("?")[1];
      path.value = form.dataset.path.replace(/\{(\w+)\}/g, (_, name) => known[name]) + (query ? `?${query}` : "");
    }
    block.addEventListener("toggle", (event) => { if (event.target === block) fill(); });
    fill(); // the address may have opened it already
    token.addEventListener("input", () => {
      for (const other of document.querySelectorAll("form.try .token")) other.value = token.value;
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (!/^\/(?![/\\])/.test(path.value)) { status.textContent = "The address begins with one slash."; return; }
      const began = performance.now();
      status.textContent = "Asking …";
      try {
        const headers = { Accept: "application/json, text/plain;q=0.9, */*;q=0.1" };
        if (token.value) headers.Authorization = `Bearer ${token.value.trim()}`;
        const answer = await fetch(path.value, { headers });
        const text = await answer.text();
        status.textContent = `${answer.status} ${answer.headers.get("Content-Type") ?? ""}, ${Math.round(performance.now() - began)} ms`;
        try { shown.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { shown.textContent = text; }
        shown.hidden = false;
      } catch {
        status.textContent = "The API does not answer.";
      }
    });
  }
  document.addEventListener("click", (event) => {
    const language = event.target.closest("summary")?.parentElement?.dataset.language;
    if (!language) return;
    event.preventDefault();
    const place = event.target.closest("summary");
    const before = place.getBoundingClientRect().top;
    for (const one of document.querySelectorAll("[data-language]")) one.open = one.dataset.language === language;
    scrollBy(0, place.getBoundingClientRect().top - before);
  });
})();
