// Asks the engine in workerd what others have decided, and compares:
//
//	node scripts/differential.mjs PROJECT CASES
//
// PROJECT is a folder of `ipwarden edge build`, CASES a file of lines, each with a
// question and what the answer must be. The last line of the output has figures: how long
// a decision takes inside workerd, whose clock stands still while it computes, so it is
// what many of them take as the other side sees it.
import { Miniflare } from "miniflare";
import { createReadStream, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [project, cases] = process.argv.slice(2);
const file = (name) => readFileSync(join(project, name));
const kv = existsSync(join(project, "kv.json"));
const now = Date.parse("2026-11-21T12:34:56.789Z");
const worker = `
import { Local } from "./ipwarden.js";
import engine from "./engine.wasm";
import program from "./program.bin";
${kv ? "" : 'import dataset from "./dataset.bin";'}
let local, kept;
export default { async fetch(request, env, context) {
  const asked = await request.json();
  local ??= new Local({ engine, program, dataset: ${kv ? "env.IPWARDEN_KV" : "dataset"}, now: () => ${now}, limits: false });
  kept = asked.questions ?? kept;
  if (asked.loop === undefined) {
    const answers = [];
    for (const q of kept) answers.push(await local.decide(q, context, {}));
    return Response.json(answers);
  }
  let passed = 0;
  for (let i = 0; i < asked.loop; i++) if (local.decide(kept[i % kept.length], context, {}).passes) passed++;
  return Response.json({ passed });
} };`;

const modules = [
  { type: "ESModule", path: "main.js", contents: worker },
  { type: "ESModule", path: "ipwarden.js", contents: file("ipwarden.js").toString() },
  { type: "CompiledWasm", path: "engine.wasm", contents: file("engine.wasm") },
  { type: "Data", path: "program.bin", contents: file("program.bin") },
];
if (!kv) modules.push({ type: "Data", path: "dataset.bin", contents: file("dataset.bin") });
const mf = new Miniflare({
  modules, host: "127.0.0.1", port: 0, compatibilityDate: "2026-04-01", cf: false, telemetry: { enabled: false },
  ...(kv && { kvNamespaces: ["IPWARDEN_KV"] }),
});
const url = await mf.ready;
if (kv) {
  const store = await mf.getKVNamespace("IPWARDEN_KV");
  for (const e of JSON.parse(file("kv.json").toString())) await store.put(e.key, e.base64 ? new Uint8Array(Buffer.from(e.value, "base64")) : e.value);
}

const post = async (body) => {
  const r = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  if (!r.ok) throw new Error(`${r.status}: ${await r.text()}`);
  return r.json();
};

let wrong = 0, n = 0, batch = [];
async function ask() {
  const got = await post({ questions: batch.map((c) => c.question) });
  batch.forEach(({ question, want }, i) => {
    n++;
    const v = got[i];
    const have = { verdict: v.verdict, status: v.status, reason: v.reason, by: v.by, tier: v.tier, risk: v.risk, location: v.location, tags: v.tags.join(","), country: v.country, asn: v.asn };
    for (const k in have) {
      if (have[k] === want[k]) continue;
      if (++wrong <= 5) console.error(`${JSON.stringify(question)}:\n got ${JSON.stringify(have)}\nwant ${JSON.stringify(want)}`);
      break;
    }
  });
  batch = [];
}
const first = [];
for await (const line of createInterface({ input: createReadStream(cases) })) {
  const c = JSON.parse(line);
  if (first.length < 1000) first.push(c.question);
  batch.push(c);
  if (batch.length === 2000) await ask();
}
if (batch.length > 0) await ask();

await post({ questions: first });
const took = async (loop) => {
  const t = performance.now();
  await post({ loop });
  return performance.now() - t;
};
await took(20000);
const rounds = [];
for (let i = 0; i < 11; i++) rounds.push((1000 * (await took(10000) - await took(0))) / 10000);
rounds.sort((a, b) => a - b);
await mf.dispose();
if (wrong > 0) console.error(`${wrong} of ${n} answers are others`);
console.log(JSON.stringify({ questions: n, wrong, decision_us: { median: +rounds[5].toFixed(2), least: +rounds[0].toFixed(2) } }));
process.exit(wrong > 0 ? 1 : 0);
