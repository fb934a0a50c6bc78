"use strict";
// Keeps #live fresh: the server renders, htmx swaps, this decides when. A refresh at most every 400 ms, never two at
// once, and one more when something happened during it. None while somebody types or selects text in #live: it would
// take away what they do.
(() => {
  const PAUSE = 400;
  const EVENTS = ["message", "progress", "end"]; // what stream.py sends: an event of the job, an answer, the last word
  let source = null, busy = false, wanted = false, timer = 0, last = 0, ended = false, pressed = false;
  const live = () => document.getElementById("live");
  const typing = () => {
    const at = document.activeElement;
    return at && live() && live().contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
  };
  const selecting = () => {
    const chosen = document.getSelection();
    const some = chosen && !chosen.isCollapsed && chosen.rangeCount && chosen.getRangeAt(0).intersectsNode(live());
    return pressed || Boolean(some && chosen.toString().trim());
  };
  const held = () => Boolean(live()) && (typing() || selecting());

  let word = "", notice = "", noticed = 0;
  function show() {
    const place = document.getElementById("liveness");
    const text = notice || (wanted && live() && selecting() ? "· paused while text is selected" : word);
    if (place && place.textContent !== text) place.textContent = text;
  }
  const say = (text) => { word = text; show(); };
  function tell(text) {
    notice = text;
    show();
    clearTimeout(noticed);
    noticed = setTimeout(() => { notice = ""; show(); }, 2000);
  }

  function refresh() {
    wanted = true;
    if (busy || timer) return;
    timer = setTimeout(() => {
      timer = 0;
      show();
      if (!live() || document.hidden || held()) return;
      wanted = false;
      busy = true;
      htmx.trigger(live(), "refresh");
    }, Math.max(0, last + PAUSE - Date.now()));
  }
  function letGo() {
    if (wanted && !held()) refresh();
  }
  document.addEventListener("pointerdown", (event) => { pressed = Boolean(live()?.contains(event.target)); });
  for (const name of ["pointerup", "pointercancel", "blur"]) {
    window.addEventListener(name, () => { pressed = false; letGo(); });
  }
  document.addEventListener("selectionchange", letGo);

  // The server sends nothing where the page would be what it is.
  let tag = "";
  document.addEventListener("htmx:configRequest", (event) => { if (tag) event.detail.headers["X-Page-Tag"] = tag; });
  // The only requests that htmx makes here; its event names an ancestor, because #live itself has been replaced.
  document.addEventListener("htmx:afterRequest", (event) => {
    busy = false;
    last = Date.now();
    tag = event.detail.xhr?.getResponseHeader("X-Page-Tag") || tag;
    if (!event.detail.successful) say("· the server does not answer, trying again");
    else if (!document.getElementById("stream")) say("· live");
    if (wanted) refresh();
  });
  // What an operator reads stays where it was. (The focus too, by htmx: all that can have it there has an id.)
  let scrolled = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.shouldSwap && held()) { // it began while the answer was on its way
      event.detail.shouldSwap = false;
      wanted = true;
    }
    scrolled = [...document.querySelectorAll("#live [id$=-region]")].map((at) => [at.id, at.scrollLeft, at.scrollTop]);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const [id, left, top] of scrolled) document.getElementById(id)?.scrollTo({ left, top, behavior: "instant" });
  });
  // A browser opens six connections to a host: a stream that nobody looks at would take one from the tabs in use.
  htmx.createEventSource = (url) => {
    source?.close();
    source = new EventSource(url);
    if (document.hidden) source.close();
    for (const name of EVENTS) source.addEventListener(name, refresh);
    source.addEventListener("end", () => { ended = true; say(""); });
    return source;
  };
  function listen() {
    const stream = document.querySelector("[sse-connect]");
    if (stream && !ended && source?.readyState === EventSource.CLOSED) htmx.trigger(stream, "htmx:afterProcessNode");
  }
  document.addEventListener("htmx:sseOpen", () => {
    say("· live");
    refresh(); // what happened while there was no stream
  });
  document.addEventListener("htmx:sseError", () => { if (!ended) say("· the stream broke off, connecting again"); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); return; }
    listen();
    if (wanted) refresh();
  });

  // Answers make no event and ages grow: whatever is open is also looked at every few seconds.
  let seconds = 0;
  setInterval(() => {
    const every = live() ? Number(live().dataset.every) : 0;
    if (every && ++seconds % every === 0) refresh();
  }, 1000);

  document.addEventListener("change", (event) => {
    if (event.target.matches(".choose select")) event.target.form.requestSubmit();
  });

  // Copying. The clipboard's interface is there on https and localhost only; the older way needs a selected field.
  document.documentElement.classList.add("scripted");
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
    const done = await copy(button.dataset.copy).catch(() => false);
    if (done) button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 2000);
    tell(done ? "· copied" : "· the browser did not allow copying");
  });

  // An address that names a folded block opens it.
  function unfold() {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const block = named?.closest("details");
    if (block && !block.open) { block.open = true; named.scrollIntoView(); }
  }
  window.addEventListener("hashchange", unfold);
  unfold();
})();
