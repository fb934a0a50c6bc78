"use strict";
// A chart is one stop of the Tab key: the arrow keys go from interval to interval. Without this script each is a stop.
(() => {
  const last = {}; // by chart: the id of the interval that had the focus
  const points = (chart) => [...chart.querySelectorAll("a.point")];
  function choose(chart, point) {
    for (const one of points(chart)) one.setAttribute("tabindex", one === point ? "0" : "-1");
    last[chart.id] = point.id;
  }
  function settle() {
    for (const chart of document.querySelectorAll("figure.chart")) {
      const all = points(chart);
      if (all.length) choose(chart, all.find((one) => one.id === last[chart.id]) ?? all[all.length - 1]);
    }
  }
  document.addEventListener("keydown", (event) => {
    const point = event.target.closest?.("a.point");
    if (!point || event.ctrlKey || event.metaKey || event.altKey) return;
    const chart = point.closest("figure.chart");
    const all = points(chart);
    const at = all.indexOf(point);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all[to]) return;
    event.preventDefault();
    choose(chart, all[to]);
    all[to].focus();
  });
  document.addEventListener("focusin", (event) => {
    const point = event.target.closest?.("a.point");
    if (point) choose(point.closest("figure.chart"), point);
  });
  document.addEventListener("live:changed", settle);
  settle();
})();
