"use strict";
// The map of verdicts: a click keeps the map and brings the answers below it, arrow keys walk through the fields, j and
// k go to the next difference. Without this script each field is a link to the same address.
(() => {
  const region = () => document.getElementById("heat-region");
  const fields = () => [...document.querySelectorAll("#heat-region a.verdict")];
  const chosen = () => document.querySelector("#heat-region a[aria-current]");
  let asked = 0; // only the newest request is shown
  let shown = location.pathname + location.search, moved = false;

  function say(text) {
    const place = document.getElementById("map-said");
    if (place) place.textContent = text;
  }

  // One tab stop: the field that has, or had, the focus; else the one whose answers are shown.
  let last = "";
  function stops() {
    const all = fields();
    const stop = all.find((one) => one.id === last) || chosen() || all[0];
    for (const one of all) one.tabIndex = one === stop ? 0 : -1;
  }
  function focus(field) {
    last = field.id;
    stops();
    field.focus();
  }

  // The refresh asks for the address of what is shown.
  function follow(path) {
    const live = document.getElementById("live");
    if (!live?.hasAttribute("hx-get")) return;
    live.setAttribute("hx-get", path);
    htmx.process(live);
  }
  function mark(href) {
    for (const one of fields()) {
      const here = one.getAttribute("href") === href;
      if (here) { one.setAttribute("aria-current", "true"); last = one.id; } else one.removeAttribute("aria-current");
    }
    stops();
  }
  // Puts the answers into sight where they are not, and the map above them if both fit.
  function show() {
    const map = region(), one = document.getElementById("one");
    if (!one) return;
    const at = one.getBoundingClientRect().top;
    if (at >= 0 && at < innerHeight * 0.75) return;
    const whole = map && at - map.getBoundingClientRect().top < innerHeight * 0.75;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    (whole ? map : one).scrollIntoView({ block: "start", behavior: calm ? "instant" : "smooth" });
  }
  async function load(path, push) {
    const number = ++asked;
    const old = document.getElementById("one");
    old?.setAttribute("aria-busy", "true");
    let page;
    try {
      const answer = await fetch(path, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      page = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      location.assign(path); // the browser says what is wrong
      return;
    }
    if (number !== asked) return;
    const came = page.getElementById("one");
    if (!came) { location.assign(path); return; }
    const back = document.activeElement?.closest("#one") ? document.activeElement.id : "";
    document.getElementById("one").replaceWith(document.adoptNode(came));
    if (push) history.pushState({}, "", `${path}#side`);
    htmx.process(document.getElementById("one"));
    mark(page.querySelector("#heat-region a[aria-current]")?.getAttribute("href"));
    shown = path;
    moved = true;
    follow(path);
    if (back) (document.getElementById(back) || document.getElementById("next-cell") || chosen())?.focus({ preventScroll: true });
    show();
    say(`The answers of ${document.getElementById("side").textContent} are shown below the map`);
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("#heat-region a.verdict, .walk a");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (link.matches(".verdict")) focus(link);
    load(link.pathname + link.search, true);
  });
  window.addEventListener("popstate", () => {
    const path = location.pathname + location.search;
    if (document.getElementById("one") && path !== shown) load(path, false); // not to another place of this page
  });

  // The field in this direction: over fields that were not analysed, up to the edge.
  function beside(field, key) {
    const cell = field.closest("td"), row = cell.parentElement;
    const rows = [...field.closest("table").rows].filter((one) => one.querySelector("a.verdict"));
    const across = [...row.querySelectorAll("a.verdict")];
    if (key === "ArrowRight") return across[across.indexOf(field) + 1];
    if (key === "ArrowLeft") return across[across.indexOf(field) - 1];
    if (key === "Home") return across[0];
    if (key === "End") return across.at(-1);
    const step = key === "ArrowDown" ? 1 : -1;
    for (let at = rows.indexOf(row) + step; at >= 0 && at < rows.length; at += step) {
      const found = rows[at].cells[cell.cellIndex]?.querySelector("a.verdict");
      if (found) return found;
    }
    return undefined;
  }
  function difference(step) {
    const all = fields();
    const here = document.activeElement?.matches("#heat-region a.verdict") ? document.activeElement : chosen();
    for (let at = all.indexOf(here) + step; at >= 0 && at < all.length; at += step) {
      if ("differs" in all[at].dataset) return all[at];
    }
    return undefined;
  }
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (at.matches("#heat-region a.verdict") && /^(Arrow(Up|Down|Left|Right)|Home|End)$/.test(event.key)) {
      event.preventDefault();
      const found = beside(at, event.key);
      if (found) focus(found);
    } else if ((event.key === "j" || event.key === "k") && isKey(event)) {
      const found = difference(event.key === "j" ? 1 : -1);
      if (!found) { say("There is no further difference"); return; }
      focus(found);
      load(found.pathname + found.search, true);
    }
  });
  // A refresh that was on its way during a click brings the answers from before the click.
  document.addEventListener("live:changed", () => {
    stops();
    const came = new URL(document.getElementById("live")?.getAttribute("hx-get") || shown, location.href);
    if (moved && came.pathname + came.search !== shown) load(shown, false);
  });
  stops();
})();
