"use strict";
// Builds a job from the form, signs it here and sends it. Where the form submits an earlier job again (data-again), what
// the form has no field for is sent as it was, and so is a field that nobody changed.
(() => {
  const form = document.getElementById("job-form");
  const at = (id) => document.getElementById(id);
  const boxes = (name) => [...form.querySelectorAll(`[name=${name}]`)];
  const checked = (name) => boxes(name).filter((box) => box.checked).map((box) => box.value);
  const hex = (size) => [...crypto.getRandomValues(new Uint8Array(size))].map((b) => b.toString(16).padStart(2, "0")).join("");
  const free = () => at("free").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const most = Number(form.dataset.mostCalls);
  const earlier = form.dataset.again ? JSON.parse(form.dataset.again) : null;
  const prompt = earlier && !earlier.questions?.length ? earlier.benchmark?.input?.data?.prompt : "";
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
  // In the order of the earlier job, then that of the form.
  function questions() {
    const own = new Set(checked("own").map(Number));
    const chosen = checked("question");
    const kept = (earlier?.questions ?? []).filter((text, place) => own.has(place) || chosen.includes(text));
    return [...kept, ...chosen.filter((id) => !kept.includes(id)), ...free()];
  }
  function asModel({ id, regions }, all) {
    const { regions: _, ...rest } = earlier?.models?.find((model) => model.id === id) ?? {};
    if (regions.length < all.length) return { ...rest, id, regions };
    return Object.keys(rest).length > 1 ? { ...rest, id } : id;
  }
  // A number of the form: as the earlier job has it (it may have none, or a fraction of a minute), unless it was changed.
  function number(id, before, factor = 1) {
    const field = at(id);
    return earlier && field.value === field.defaultValue ? before : Number(field.value) * factor;
  }

  function build() {
    const asked = questions();
    const models = plan();
    const regions = checked("region");
    if (!asked.length && !prompt) throw new Error("Choose a question, or write one.");
    if (!models.length) throw new Error("Choose a model.");
    if (!regions.length) throw new Error("Choose a region.");
    const nowhere = models.find((model) => !model.regions.length);
    if (nowhere) throw new Error(`The model ${nowhere.id} runs in none of the chosen regions.`);
    const before = earlier?.constraints ?? {};
    const made = { container: { image: "beacon-runner/portal" }, input: { type: "prompt", hash: "sha256:placeholder" } };
    return JSON.parse(JSON.stringify({ // without the members that are undefined
      version: "v1",
      ...earlier,
      id: `web-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")}-${hex(4)}`,
      benchmark: { ...(earlier?.benchmark ?? made), name: at("name").value.trim() },
      constraints: {
        ...before,
        regions,
        min_regions: number("min_regions", before.min_regions && Math.min(before.min_regions, regions.length)),
        timeout: number("timeout", before.timeout, 60e9),
      },
      models: models.map((model) => asModel(model, regions)),
      questions: asked.length ? asked : undefined,
      runs: number("runs", earlier?.runs),
      metadata: { ...earlier?.metadata, created_by: "portal", nonce: hex(16), timestamp: new Date().toISOString() },
    }));
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
    const asked = questions().length || (prompt ? 1 : 0);
    const calls = asked * plan().flatMap((model) => model.regions).length * Number(at("runs").value || 1);
    const over = calls > most ? ` A job may have ${most.toLocaleString("en")}.` : "";
    at("summary").textContent = calls ? `${counted(calls, "call")} in ${counted(regions, "region")}.${over}` : "Choose questions, models and regions.";
  }

  // A chosen question stays in sight whatever is searched.
  function find() {
    const wanted = at("find").value.trim().toLowerCase();
    let found = 0;
    for (const box of [...boxes("own"), ...boxes("question")]) {
      const label = box.closest("label");
      const fits = label.textContent.toLowerCase().includes(wanted);
      found += fits;
      label.hidden = !fits && !box.checked;
    }
    at("found").textContent = wanted ? counted(found, "question") : "";
  }
  at("find")?.addEventListener("input", find);
  at("find")?.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });

  form.addEventListener("input", ({ target }) => {
    if (target.name === "region") target.dataset.wanted = String(target.checked);
    summarise();
  });
  at("key-file").addEventListener("change", async () => {
    const [file] = at("key-file").files;
    at("problem").textContent = "";
    at("key-held").hidden = true;
    signingKey.forget();
    if (!file) return;
    try {
      at("key-id").textContent = await signingKey.take(await file.text());
      at("key-held").hidden = false;
    } catch (error) {
      at("problem").textContent = error.message;
    }
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = at("send");
    at("problem").textContent = "";
    button.disabled = true;
    button.textContent = "Signing and sending …";
    try {
      await send(await signingKey.sign(build()));
    } catch (error) {
      at("problem").textContent = error.message;
      button.disabled = false;
      button.textContent = "Sign and submit";
    }
  });
  summarise();
})();
