"use strict";
// `?tz=local` shows times in the reader's zone, with UTC in the tooltip. Without it every time is UTC. A tab remembers
// the choice, so that links, forms and redirects need not carry it: the address gets it again on each page.
(() => {
  const KEY = "beacon-tz";
  const store = {
    get local() { try { return sessionStorage.getItem(KEY) === "local"; } catch { return false; } },
    set local(local) { try { sessionStorage.setItem(KEY, local ? "local" : "utc"); } catch { /* not kept: the browser forbids it */ } },
  };
  const address = new URL(location.href);
  if (address.searchParams.has("tz")) store.local = address.searchParams.get("tz") === "local";
  const local = store.local || address.searchParams.get("tz") === "local";
  if (local) {
    address.searchParams.set("tz", "local");
    if (address.href !== location.href) history.replaceState(history.state, "", address);
  }
  const zone = document.getElementById("zone");
  const where = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const written = new Intl.DateTimeFormat("sv-SE", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
    timeZoneName: "short",
  });

  function rewrite() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const text = written.format(new Date(time.dateTime));
      const utc = time.dateTime.slice(0, 19).replace("T", " ") + " UTC";
      if (time.classList.contains("at")) {
        if (time.textContent !== text) time.textContent = text;
        time.title = utc;
      } else {
        time.title = `${text} · ${utc}`;
      }
    }
  }
  if (zone) {
    if (local) address.searchParams.delete("tz"); else address.searchParams.set("tz", "local");
    const link = Object.assign(document.createElement("a"), {
      id: "zone-other", href: address.pathname + address.search + address.hash,
      textContent: local ? "show UTC" : "show local times",
    });
    const drawn = local && document.querySelector(".chart, .spark") ? ", charts and their tables in UTC" : "";
    zone.textContent = local ? `times in ${where}${drawn} ` : "times are UTC ";
    link.addEventListener("click", () => { store.local = !local; });
    zone.append(link);
  }
  if (local) {
    rewrite();
    document.addEventListener("live:changed", rewrite);
  }
})();
