// Makes canonical_vectors.json: `node tests/data/make_canonical_vectors.mjs > tests/data/canonical_vectors.json`.
//
// The expected texts come from JavaScript's own JSON.stringify and key order (RFC 8785 is defined by them), so that
// they do not repeat a mistake of the Python code that is tested with them. `raw` is a JSON text as a client sends it.

const sorted = (value) => {
  if (Array.isArray(value)) return `[${value.map((item) => sorted(item)).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort(); // by UTF-16 code units
  return `{${members.map((name) => `${JSON.stringify(name)}:${sorted(value[name])}`).join(",")}}`;
};

const without = (value, names) => Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

const pruned = (value, keep) =>
  Object.fromEntries(
    Object.entries(value)
      .map(([name, item]) => [name, isObject(item) ? pruned(item, keep) : item])
      .filter(([name, item]) => {
        const empty = item === null || item === "" || item === 0 || (isObject(item) && Object.keys(item).length === 0);
        return keep.includes(name) || !empty;
      }),
  );

const SIGNATURE = ["signature", "public_key"];
const forms = {
  jcs: (spec) => without(spec, SIGNATURE),
  B: (spec) => without(spec, [...SIGNATURE, "id"]),
  C: (spec) => pruned(without(spec, [...SIGNATURE, "id", "created_at"]), []),
  D: (spec) => pruned({ ...without(spec, ["id", "created_at"]), signature: "", public_key: "" }, SIGNATURE),
};

const go = (text) => text.replace(/[<>&]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
const goLines = (text) => go(text).replace(/[\u2028\u2029]/g, (c) => "\\u" + c.charCodeAt(0).toString(16));

const raws = {
  null: '{"a":null}',
  "empty text": '{"a":""}',
  zero: '{"a":0}',
  "zero as a float": '{"a":0.0}',
  "minus zero": '{"a":-0.0,"b":-0}',
  false: '{"a":false,"b":true}',
  "empty object": '{"a":{}}',
  "object that becomes empty": '{"a":{"b":null}}',
  "object that becomes empty two levels up": '{"a":{"b":{"c":""}},"d":1}',
  "empty array": '{"a":[]}',
  "array with an object that would become empty": '{"a":[{"x":null}]}',
  "array of everything empty": '{"a":[null,"",0,false,{},[]]}',
  "one as a float": '{"a":1.0}',
  "small number": '{"a":1e-7,"b":0.000001,"c":1.5e-10}',
  "large number": '{"a":1e21,"b":1e20,"c":1.2345678901234568e20,"d":1.5e300}',
  "numbers where Python and JavaScript differ": '{"a":0.00001,"b":1e16,"c":1e15,"d":12345678901234567.0,"e":-1.0}',
  "ordinary numbers": '{"a":0.67,"b":-12.5,"c":9007199254740991,"d":-9007199254740991,"e":600000000000}',
  "the extremes of a double": '{"a":5e-324,"b":1.7976931348623157e308,"c":2.2250738585072014e-308}',
  "HTML characters": '{"a":"<b>&amp;</b>","<&>":1}',
  "line separators": '{"a":"one\u2028two\u2029three"}',
  "line separators and HTML characters": '{"a":"<\u2028>"}',
  "a text that looks like an escape": '{"a":"\\\\u003c < \\u003c"}',
  "control characters": '{"a":"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\"\\\\\\/"}',
  "an astral key against a high one": '{"\u{1f600}":1,"\uffee":2,"a":3}',
  "an astral key in escapes": '{"\\ud83d\\ude00":1,"\\uffee":2}',
  "keys that differ in case, length and accents": '{"b":1,"B":2,"aa":3,"a":4,"\u00e9":5,"e":6,"":7,"1":8,"10":9,"2":10}',
  "numbers inside texts": '{"a":"x,1.0,y","b":":1e5}","c":["1.0",1.0]}',
  "a job": JSON.stringify({
    id: "job-1",
    created_at: "2026-11-01T00:00:00Z",
    version: "v1",
    signature: "s",
    public_key: "p",
    benchmark: { name: "x", description: "", container: { image: "i", tag: null }, scoring: {}, metadata: { a: {} } },
    constraints: { regions: ["US"], min_regions: 0, min_success_rate: 0.67 },
    questions: ["Is 1 < 2 & 3 > 2?", ""],
    metadata: { nonce: "n", multi_model: false, count: 0, signature: "", public_key: "", id: "kept", created_at: "kept" },
    wallet_auth: { signature: "", public_key: "", nested: { signature: "", x: null }, other: { signature: "w" } },
  }),
};

const vectors = Object.entries(raws).map(([name, raw]) => {
  const value = JSON.parse(raw);
  const expected = Object.fromEntries(Object.entries(forms).map(([form, make]) => [form, sorted(make(value))]));
  return { name, raw, canonical: sorted(value), forms: expected, go: go(sorted(value)), go_lines: goLines(sorted(value)) };
});

console.log(JSON.stringify(vectors, null, 1));
