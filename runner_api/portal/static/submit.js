"use strict";
// Builds a job from the form, signs it here and sends it. The private key stays in this page.
(() => {
  const form = document.getElementById("job-form");
  const at = (id) => document.getElementById(id);
  const checked = (name) => [...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value);
  const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));
  const hex = (size) => [...crypto.getRandomValues(new Uint8Array(size))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const free = () => at("free").value.split("\n").map((line) => line.trim()).filter(Boolean);
  at("needs-script").hidden = true;

  function build() {
    const questions = [...checked("question"), ...free()];
    const models = checked("model");
    const regions = checked("region");
    if (!questions.length) throw new Error("Choose a question, or write one.");
    if (!models.length) throw new Error("Choose a model.");
    if (!regions.length) throw new Error("Choose a region.");
    return {
      id: `web-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")}-${hex(4)}`,
      version: "v1",
      benchmark: {
        name: at("name").value.trim(),
        container: { image: "beacon-runner/portal" },
        input: { type: "prompt", hash: "sha256:placeholder" },
      },
      constraints: { regions, min_regions: Number(at("min_regions").value), timeout: Number(at("timeout").value) * 60e9 },
      models,
      questions,
      runs: Number(at("runs").value),
      metadata: { created_by: "portal", nonce: hex(16), timestamp: new Date().toISOString() },
    };
  }

  async function sign(job, pem) {
    if (!globalThis.crypto || !crypto.subtle) throw new Error("The browser signs only on https or localhost. Paste a signed job instead.");
    const body = pem.replace(/-----[^-]+-----/g, "").replace(/\s+/g, "");
    if (!body) throw new Error("A private key is needed.");
    let key, jwk;
    try {
      const der = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
      key = await crypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, true, ["sign"]);
      jwk = await crypto.subtle.exportKey("jwk", key);
    } catch {
      throw new Error("This is not an Ed25519 private key in PEM, or the browser is too old for it.");
    }
    const signature = await crypto.subtle.sign({ name: "Ed25519" }, key, new TextEncoder().encode(canonical(job)));
    const x = jwk.x.replace(/-/g, "+").replace(/_/g, "/");
    return { ...job, public_key: x + "=".repeat((4 - (x.length % 4)) % 4), signature: base64(signature) };
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
    const questions = checked("question").length + free().length;
    const regions = checked("region");
    const boxes = [...form.querySelectorAll("[name=model]:checked")];
    const pairs = boxes.reduce((sum, box) => sum + regions.filter((r) => box.dataset.regions.split(" ").includes(r)).length, 0);
    const calls = questions * pairs * Number(at("runs").value || 1);
    at("summary").textContent = calls ? `${calls} call${calls === 1 ? "" : "s"} in ${regions.length} region${regions.length === 1 ? "" : "s"}.` : "";
  }

  form.addEventListener("input", summarise);
  at("key-file").addEventListener("change", async () => { const [file] = at("key-file").files; if (file) at("key").value = await file.text(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = at("send");
    at("problem").textContent = "";
    button.disabled = true;
    button.textContent = "Signing and sending …";
    try {
      await send(await sign(build(), at("key").value));
    } catch (error) {
      at("problem").textContent = error.message;
      button.disabled = false;
      button.textContent = "Sign and submit";
    }
  });
  summarise();
})();
