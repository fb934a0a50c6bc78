"use strict";
// Keeps #live fresh: the server renders, htmx swaps, this decides when. A refresh at most every 400 ms, never two at
// once, and one more when something happened meanwhile.
(() => {
  const PAUSE = 400;
  const EVENTS = ["message", "progress", "end"]; // what stream.py sends: an event of the job, an answer, the last word
  let source = null, busy = false, wanted = false, timer = 0, last = 0, ended = false;
  const live = () => document.getElementById("live");
  const say = (text) => {
    const place = document.getElementById("liveness");
    if (place && place.textContent !== text) place.textContent = text;
  };
  const typing = () => {
    const at = document.activeElement;
    return at && live() && live().contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
  };

  function refresh() {
    wanted = true;
    if (busy || timer) return;
    timer = setTimeout(() => {
      timer = 0;
      if (!live() || document.hidden || typing()) return;
      wanted = false;
      busy = true;
      htmx.trigger(live(), "refresh");
    }, Math.max(0, last + PAUSE - Date.now()));
  }

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
  document.addEventListener("htmx:beforeSwap", () => {
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
})();
