"use strict";
// `?tz=local` shows times in the reader's zone, with UTC in the tooltip. Without it every time is UTC.
(() => {
  const address = new URL(location.href);
  const local = address.searchParams.get("tz") === "local";
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
    zone.textContent = local ? `times in ${where} ` : "times are UTC ";
    zone.append(link);
  }
  if (local) {
    rewrite();
    document.addEventListener("live:changed", rewrite);
  }
})();
