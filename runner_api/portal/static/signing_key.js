"use strict";
// The private key of the page that submits. It is held as a CryptoKey that no script can read out; only the public half
// and its id can be asked for. Script files that are loaded after this one see `signingKey`.
const signingKey = (() => {
  const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)));
  const toHex = (bytes) => [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");
  let held = null; // { secret, publicKey }
  return {
    forget() { held = null; },
    // Take the key of a PEM file; return its id. Throws an Error that can be shown.
    async take(pem) {
      held = null;
      if (!globalThis.crypto || !crypto.subtle) throw new Error("The browser signs only on https or localhost. Paste a signed job instead.");
      try {
        const der = Uint8Array.from(atob(pem.replace(/-----[^-]+-----/g, "").replace(/\s+/g, "")), (c) => c.charCodeAt(0));
        const { x } = await crypto.subtle.exportKey("jwk", await crypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, true, ["sign"]));
        const publicKey = x.replace(/-/g, "+").replace(/_/g, "/") + "=".repeat((4 - (x.length % 4)) % 4);
        const raw = Uint8Array.from(atob(publicKey), (c) => c.charCodeAt(0));
        held = { publicKey, secret: await crypto.subtle.importKey("pkcs8", der, { name: "Ed25519" }, false, ["sign"]) };
        return toHex(await crypto.subtle.digest("SHA-256", raw)).slice(0, 16);
      } catch {
        throw new Error("This is not an Ed25519 private key in PEM, or the browser is too old for it.");
      }
    },
    // Return the job with its public key and signature.
    async sign(job) {
      if (!held) throw new Error("A private key is needed.");
      const signature = await crypto.subtle.sign({ name: "Ed25519" }, held.secret, new TextEncoder().encode(canonical(job)));
      return { ...job, public_key: held.publicKey, signature: base64(signature) };
    },
  };
})();
