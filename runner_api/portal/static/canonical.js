"use strict";
// Canonical JSON (RFC 8785): keys in the order of their UTF-16 units, which is how sort() orders strings; numbers and
// strings as JSON.stringify writes them, which is where the standard took them from.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
    return `{${members.join(",")}}`;
  }
  if (typeof value === "number" && !Number.isFinite(value)) throw new Error("JSON has no such number.");
  if (typeof value === "string" && !value.isWellFormed()) throw new Error("The text has half a character (a lone surrogate).");
  return JSON.stringify(value);
}
