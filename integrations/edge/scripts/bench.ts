// How long a Worker in workerd takes to answer: without the gate, with it and an answer
// that is in the isolate's memory, in KV, and asked for. Milliseconds, interleaved:
// node scripts/bench.mjs
import { Ipwarden, Origin, token, worker } from "../test/world.js";
import type { Miniflare } from "miniflare";
import http from "node:http";

const policy = `version: 1
rules:
  - {name: vpn, when: ip.security.is_vpn, action: block}
  - {name: admin, when: request.path.startsWith("/admin"), action: block}
limits:
  - {name: shop, when: request.path.startsWith("/shop"), rate: 1000000/min}
`;
const rounds = 40, each = 25;

const ipwarden = await Ipwarden.start(policy);
const origin = await Origin.start();
const bindings = { IPWARDEN_URL: ipwarden.url, IPWARDEN_TOKEN: token, IPWARDEN_ORIGIN: origin.url };
const gated = (remember: number) => `
  import { env } from "cloudflare:workers";
  import { protect } from "../src/cloudflare";
  import { kvStore } from "../src/cache";
  import { Remote } from "../src/remote";
  export default protect({ decider: new Remote({ url: env.IPWARDEN_URL, token: env.IPWARDEN_TOKEN, store: kvStore(env.IPWARDEN_KV), remember: ${remember} }) });`;
const plain = `export default { fetch(r, env) { const u = new URL(r.url); return fetch(new Request(env.IPWARDEN_ORIGIN + u.pathname, r)); } };`;
const [bare, memory, kv] = await Promise.all([
  worker(plain, { bindings }), worker(gated(1000), { bindings, kvNamespaces: ["IPWARDEN_KV"] }), worker(gated(0), { bindings, kvNamespaces: ["IPWARDEN_KV"] }),
]);

const agent = new http.Agent({ keepAlive: true });

/** Milliseconds of one request. One whose connection was just closed for having been idle is sent again. */
async function once(mf: Miniflare, path: string, address: string): Promise<number> {
  return time(mf, path, address).catch(() => time(mf, path, address));
}

async function time(mf: Miniflare, path: string, address: string): Promise<number> {
  const url = new URL(await mf.ready);
  const began = performance.now();
  await new Promise<void>((ok, no) => {
    http.get({ host: url.hostname, port: url.port, path, agent, headers: { "cf-connecting-ip": address } }, (res) => res.resume().on("end", ok)).on("error", no);
  });
  return performance.now() - began;
}

const cases: [string, Miniflare, string, string][] = [
  ["origin, no gate", bare, "/", "198.51.100.7"],
  ["origin, kept in memory", memory, "/", "198.51.100.7"],
  ["origin, kept in KV", kv, "/", "198.51.100.7"],
  ["origin, asked (a limit)", memory, "/shop", "198.51.100.7"],
  ["refused, kept in memory", memory, "/", "203.0.113.7"],
  ["refused, kept in KV", kv, "/", "203.0.113.7"],
];
const times = cases.map(() => [] as number[]);
for (const [, mf, path, address] of cases) for (let i = 0; i < 20; i++) await once(mf, path, address);
for (let r = 0; r < rounds; r++) {
  for (const [i, [, mf, path, address]] of cases.entries()) for (let n = 0; n < each; n++) times[i]!.push(await once(mf, path, address));
}
for (const [i, [name]] of cases.entries()) {
  const t = times[i]!.sort((a, b) => a - b);
  console.log(`${name.padEnd(26)} a tenth within ${t[Math.floor(t.length * 0.1)]!.toFixed(2)} ms, median ${t[t.length >> 1]!.toFixed(2)} ms, p99 ${t[Math.floor(t.length * 0.99)]!.toFixed(2)} ms`);
}
agent.destroy();
await Promise.all([bare, memory, kv].map((m) => m.dispose()));
origin.end();
await ipwarden.end();
