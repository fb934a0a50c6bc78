"use strict";
// Sends the code of a link that logs in. It is taken out of the address first, so that the browser's history has no code.
(() => {
  const form = document.getElementById("link-form");
  const code = location.hash.slice(1);
  if (!form || !code) return;
  history.replaceState(null, "", location.pathname);
  document.getElementById("code").value = code;
  form.submit();
})();
