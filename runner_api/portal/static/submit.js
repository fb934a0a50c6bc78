"use strict";
// Builds a job from the form, signs it here and sends it. The private key stays in this page: it is held as a CryptoKey
// that no script can read out, and only the id of its public half is shown.
(() => {
  const form = document.getElementById("job-form");
  const at = (id) => document.getElementById(id);
  const boxes = (name) => [...form.querySelectorAll(`[name=${name}]`)];
  const checked = (name) => boxes(name).filter((box) => box.checked).map((box) => box.value);
  const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));
  const toHex = (bytes) => [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
  const hex = (size) => toHex(crypto.getRandomValues(new Uint8Array(size)));
  const free = () => at("free").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const most = Number(form.dataset.mostCalls);
  let key = null; // { secret, publicKey }
  at("needs-script").hidden = true;

  // The API refuses a model in a region where no provider has it, so a model is sent with its own regions where it
  // can't run in all that are chosen, and a region that no chosen model can run in can't be chosen.
  const placesOf = (box) => box.dataset.regions.split(" ");
  const chosenModels = () => boxes("model").filter((box) => box.checked);
  const offered = () => new Set(chosenModels().flatMap(placesOf));
  function offer() {
    const possible = offered();
    for (const box of boxes("region")) {
      if (box.dataset.wanted === undefined) box.dataset.wanted = String(box.checked);
      box.disabled = !possible.has(box.value);
      box.checked = !box.disabled && box.dataset.wanted === "true";
    }
  }
  function plan() {
    const regions = checked("region");
    return chosenModels().map((box) => ({ id: box.value, regions: placesOf(box).filter((r) => regions.includes(r)) }));
  }

  function build() {
    const questions = [...checked("question"), ...free()];
    const models = plan();
    const regions = checked("region");
    if (!questions.length) throw new Error("Choose a question, or write one.");
    if (!models.length) throw new Error("Choose a model.");
    if (!regions.length) throw new Error("Choose a region.");
    const nowhere = models.find((model) => !model.regions.length);
    if (nowhere) throw new Error(`The model ${nowhere.id} runs in none of the chosen regions.`);
    return {
      id: `web-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")}-${hex(4)}`,
      version: "v1",
      benchmark: {
        name: at("name").value.trim(),
        container: { image: "beacon-runner/portal" },
        input: { type: "prompt", hash: "sha256:placeholder" },
      },
      constraints: { regions, min_regions: Number(at("min_regions").value), timeout: Number(at("timeout").value) * 60e9 },
      models: models.map((model) => (model.regions.length === regions.length ? model.id : model)),
      questions,
      runs: Number(at("runs").value),
      metadata: { created_by: "portal", nonce: hex(16), timestamp: new Date().toISOString() },
    };
  }

  async function take(pem) {
    forget();
    if (!globalThis.crypto || !crypto.subtle) throw new Error("The browser signs only on https or localhost. Paste a signed job instead.");
    try {
      const der = Uint8Array.from(atob(pem.replace(/-----[^-]+-----/g, "").replace(/\s+/g, "")), (c) => c.charCodeAt(0));
      const { x } = await crypto.subtle.exportKey("jwk", await crypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, true, ["sign"]));
      const publicKey = x.replace(/-/g, "+").replace(/_/g, "/") + "=".repeat((4 - (x.length % 4)) % 4);
      const raw = Uint8Array.from(atob(publicKey), (c) => c.charCodeAt(0));
      const id = toHex(await crypto.subtle.digest("SHA-256", raw)).slice(0, 16);
      key = { publicKey, secret: await crypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, false, ["sign"]) };
      at("key-id").textContent = id;
      at("key-held").hidden = false;
    } catch {
      throw new Error("This is not an Ed25519 private key in PEM, or the browser is too old for it.");
    }
  }
  function forget() {
    key = null;
    at("key-held").hidden = true;
    at("key-id").textContent = "";
  }
  async function taking(pem) {
    at("problem").textContent = "";
    try { await take(pem); } catch (error) { at("problem").textContent = error.message; }
  }

  async function sign(job) {
    if (!key && at("key").value.trim()) { const pem = at("key").value; at("key").value = ""; await take(pem); }
    if (!key) throw new Error("A private key is needed.");
    const signature = await crypto.subtle.sign({ name: "Ed25519" }, key.secret, new TextEncoder().encode(canonical(job)));
    return { ...job, public_key: key.publicKey, signature: base64(signature) };
  }

  async function send(job) {
    const answer = await fetch("/api/v1/jobs", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(job),
    });
    const body = await answer.json();
    if (!answer.ok) throw new Error(`${body.error || answer.statusText} (${body.error_code || answer.status})`);
    location.href = `/jobs/${encodeURIComponent(body.id)}?said=submitted`;
  }

  function summarise() {
    offer();
    const regions = checked("region").length;
    at("min_regions").max = Math.max(1, regions);
    const calls = (checked("question").length + free().length) * plan().flatMap((model) => model.regions).length * Number(at("runs").value || 1);
    const over = calls > most ? ` A job may have ${most.toLocaleString("en")}.` : "";
    at("summary").textContent = calls ? `${counted(calls, "call")} in ${counted(regions, "region")}.${over}` : "";
  }

  form.addEventListener("input", ({ target }) => {
    if (target.name === "region") target.dataset.wanted = String(target.checked);
    summarise();
  });
  at("key-file").addEventListener("change", async () => {
    const [file] = at("key-file").files;
    if (file) await taking(await file.text()); else forget();
  });
  // A pasted key is taken out of the page as soon as it is whole.
  at("key").addEventListener("input", async () => {
    const pem = at("key").value;
    if (!/-----END [^-]+-----\s*$/.test(pem)) return;
    at("key").value = "";
    await taking(pem);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = at("send");
    at("problem").textContent = "";
    button.disabled = true;
    button.textContent = "Signing and sending …";
    try {
      await send(await sign(build()));
    } catch (error) {
      at("problem").textContent = error.message;
      button.disabled = false;
      button.textContent = "Sign and submit";
    }
  });
  summarise();
})();
