"use strict";
// Keeps #live fresh: the server renders, htmx asks, this decides when, and Idiomorph changes only the nodes that differ,
// so that focus, scroll positions and open blocks stay. Never two refreshes at once; the pause between two is at least
// five times what the last one cost the browser, and as long as the server needed for it; and none while somebody types
// or selects text in #live.
(() => {
  const PAUSE = 400; // ms
  const PAUSE_PER_COST = 5;
  const MOST_TAGS = 4000; // characters of a header; what does not fit is sent again
  const EVENTS = ["message", "progress", "end"]; // what stream.py sends: an event of the job, an answer, the last word
  let source = null, ended = false; // the stream
  let busy = false, wanted = false, timer = 0, pressed = false; // the refresh
  let asked = 0, last = 0, cost = 0; // its times in ms
  let missedBefore = 0; // the changes that were missed before the refresh began
  const live = () => document.getElementById("live");
  const typing = () => {
    const at = document.activeElement;
    return at && live() && live().contains(at) && at.type !== "checkbox" && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
  };
  const selecting = () => {
    const chosen = document.getSelection();
    const some = chosen && !chosen.isCollapsed && chosen.rangeCount && chosen.getRangeAt(0).intersectsNode(live());
    return pressed || Boolean(some && chosen.toString().trim());
  };
  const held = () => Boolean(live()) && (typing() || selecting());

  // What the page says about itself: a word in the footer, and a pill in sight while it waits for the reader.
  let word = "", notice = "", noticed = 0, missed = 0;
  const pill = Object.assign(document.createElement("p"), { id: "pill", className: "pill", hidden: true });
  const pillText = document.createElement("span");
  pillText.setAttribute("role", "status");
  const pillButton = Object.assign(document.createElement("button"), { type: "button", id: "pill-show", textContent: "Show" });
  pillButton.setAttribute("aria-label", "Give the selection up and show what has changed");
  pill.append(pillText, pillButton);
  document.body.append(pill);
  function show() {
    const place = document.getElementById("liveness");
    const text = notice || word;
    if (place && place.textContent !== text) place.textContent = text;
    const waits = wanted && !pressed && Boolean(live()) && selecting();
    const counted = missed === 1 ? ", 1 change" : missed ? `, ${missed} changes` : "";
    const told = waits ? `paused${counted}` : "";
    if (pillText.textContent !== told) pillText.textContent = told;
    pill.hidden = !waits;
  }
  const say = (text) => { word = text; show(); };
  function tell(text) {
    notice = text;
    show();
    clearTimeout(noticed);
    noticed = setTimeout(() => { notice = ""; show(); }, 2000);
  }
  window.portal = { tell };
  pillButton.addEventListener("click", () => {
    document.getSelection().removeAllRanges();
    letGo();
  });

  function refresh() {
    wanted = true;
    if (busy || timer) return;
    timer = setTimeout(() => {
      timer = 0;
      show();
      if (!live() || document.hidden || held()) return;
      wanted = false;
      busy = true;
      asked = Date.now();
      missedBefore = missed;
      htmx.trigger(live(), "refresh");
    }, Math.max(0, last + Math.max(PAUSE, PAUSE_PER_COST * cost, last - asked) - Date.now()));
  }
  function changed() {
    if (live() && held()) missed += 1;
    refresh();
    show();
  }
  function letGo() {
    show();
    if (wanted && !held()) refresh();
  }
  document.addEventListener("pointerdown", (event) => { pressed = Boolean(live()?.contains(event.target)); });
  for (const name of ["pointerup", "pointercancel", "blur"]) {
    window.addEventListener(name, () => { pressed = false; letGo(); });
  }
  document.addEventListener("selectionchange", letGo);
  document.addEventListener("focusout", () => setTimeout(letGo));

  // The server sends nothing where the page would be what it is, and of a part whose tag it is told an empty element.
  let tag = "";
  const isLive = (event) => event.detail.elt?.id === "live" || event.detail.target?.id === "live";
  document.addEventListener("htmx:configRequest", (event) => {
    if (!isLive(event)) return;
    const tags = [...live().querySelectorAll("[data-tag]")].map((part) => part.dataset.tag).join(",");
    event.detail.headers["X-Part-Tags"] = tags.slice(0, MOST_TAGS);
    if (tag) event.detail.headers["X-Page-Tag"] = tag;
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!isLive(event)) return;
    busy = false;
    last = Date.now();
    if (event.detail.xhr?.status === 204) { missed -= missedBefore; show(); } // the page is what it was: nothing was missed
    if (!event.detail.successful) say("· the server does not answer, trying again");
    else if (!document.getElementById("stream")) say("· live");
    if (wanted) refresh();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!isLive(event) || !event.detail.shouldSwap) return;
    event.detail.shouldSwap = false; // htmx would look through the whole page again
    if (held()) { // it began while the answer was on its way
      wanted = true;
      show();
      return;
    }
    morph(event.detail.xhr);
  });

  // A part that the server did not send again stays; a block stays open or folded, and a box ticked, as the reader left it.
  const stays = (old, now) => now.hasAttribute("data-same") || old.hasAttribute("data-kept");
  const callbacks = {
    beforeNodeMorphed: (old, now) => !(now.nodeType === Node.ELEMENT_NODE && stays(old, now)),
    beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
  };
  function morph(xhr) {
    const began = performance.now();
    const sent = new DOMParser().parseFromString(xhr.responseText, "text/html");
    const now = sent.getElementById("live");
    if (!now) return;
    Idiomorph.morph(live(), now, { morphStyle: "outerHTML", callbacks });
    tag = xhr.getResponseHeader("X-Page-Tag") || "";
    missed = 0;
    if (document.title !== sent.title) document.title = sent.title;
    const icon = document.querySelector("link[rel=icon]"), next = sent.querySelector("link[rel=icon]");
    if (icon && next && icon.getAttribute("href") !== next.getAttribute("href")) icon.href = next.getAttribute("href");
    show();
    cost = performance.now() - began;
    document.dispatchEvent(new CustomEvent("live:changed", { detail: { ms: cost } }));
    requestAnimationFrame(() => setTimeout(() => { cost = performance.now() - began; })); // with layout and paint
  }

  // A browser opens six connections to a host: a stream that nobody looks at would take one from the tabs in use.
  htmx.createEventSource = (url) => {
    source?.close();
    source = new EventSource(url);
    if (document.hidden) source.close();
    for (const name of EVENTS) source.addEventListener(name, changed);
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
