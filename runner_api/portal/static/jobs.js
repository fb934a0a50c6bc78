"use strict";
// The list of jobs: selecting all jobs of the page. And going on with many jobs, until the operator stops.
(() => {
  const form = document.getElementById("goes-on");
  if (form) {
    const timer = setTimeout(() => form.requestSubmit(), 600);
    document.getElementById("stop").addEventListener("click", () => clearTimeout(timer));
    form.addEventListener("submit", () => { clearTimeout(timer); document.getElementById("go-on").disabled = true; });
  }
  const boxes = () => [...document.querySelectorAll("#selection .pick input[name=job]")];
  function tell() {
    const place = document.getElementById("selected-count");
    if (!place) return;
    const count = boxes().filter((box) => box.checked).length;
    const text = count === 1 ? "1 selected job:" : `${count} selected jobs:`;
    if (place.textContent !== text) place.textContent = text;
    for (const button of document.querySelectorAll("#retry-selected, #cancel-selected")) button.disabled = !count;
  }
  document.addEventListener("change", (event) => {
    if (event.target.id === "pick-page") for (const box of boxes()) box.checked = event.target.checked;
    tell();
  });
  document.addEventListener("live:changed", tell);
  window.addEventListener("pageshow", tell);
})();
