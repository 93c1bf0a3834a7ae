// Remote and the gate before a real ipwarden, through a proxy that loses, delays and
// forges answers.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { Breaker } from "../src/breaker.js";
import type { Store } from "../src/cache.js";
import { Gate, type GateOptions } from "../src/gate.js";
import { Remote, type RemoteOptions } from "../src/remote.js";
import type { Context, Facts, Outcome } from "../src/types.js";
import { Ipwarden, token } from "./world.js";

const policy = `version: 1
rules:
  - {name: vpn, when: ip.security.is_vpn, action: block}
  - {name: admin, when: request.path.startsWith("/admin"), action: block}
  - {name: curl, when: 'request.headers["user-agent"].contains("curl")', action: block}
limits:
  - {name: shop, when: request.path.startsWith("/shop"), rate: 1000/hour}
`;

/** What the proxy makes of a question; undefined: it passes it on. */
type Fault = (req: http.IncomingMessage, res: http.ServerResponse, pass: () => Promise<string>) => void;

let ipwarden: Ipwarden, proxy: http.Server, url: string, fault: Fault | undefined, questions: number;

before(async () => {
  ipwarden = await Ipwarden.start(policy);
  proxy = http.createServer((req, res) => {
    questions++;
    void (async () => {
      let body = "";
      for await (const part of req) body += String(part);
      const pass = async () => (await fetch(`${ipwarden.url}${req.url}`, { method: "POST", body, headers: { authorization: req.headers.authorization ?? "" } })).text();
      if (fault) return fault(req, res, pass);
      res.setHeader("content-type", "application/json");
      res.end(await pass());
    })().catch(() => res.destroy());
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
});

beforeEach(() => {
  fault = undefined;
  questions = 0;
});

after(async () => {
  proxy?.close();
  proxy?.closeAllConnections();
  await ipwarden?.end();
});

/** A context whose work behind requests can be waited for. */
class Behind implements Context {
  #all: Promise<unknown>[] = [];
  waitUntil(p: Promise<unknown>): void {
    this.#all.push(p);
  }
  async done(): Promise<void> {
    while (this.#all.length > 0) await this.#all.pop();
  }
}

/** A store that is a map. */
class MapStore implements Store {
  readonly map = new Map<string, string>();
  async get(keys: string[]): Promise<(string | null)[]> {
    return keys.map((k) => this.map.get(k) ?? null);
  }
  async put(key: string, value: string): Promise<void> {
    this.map.set(key, value);
  }
}

/** An isolate: a gate and its remote. */
class Isolate {
  readonly remote: Remote;
  readonly gate: Gate;
  readonly behind = new Behind();
  time = Date.now();

  constructor(options: Partial<GateOptions> = {}, remote: Partial<RemoteOptions> = {}) {
    this.remote = new Remote({ url, token, ...remote });
    this.gate = new Gate({ budget: 10_000, ...options, decider: this.remote });
  }

  ask(path: string, address = "198.51.100.7", headers: Facts["headers"] = [], gate = this.gate): Promise<Outcome> {
    return gate.check({ address, method: "GET", scheme: "https", host: "www.example.org", path, headers }, this.behind);
  }
}

/** What is charged to a limit of an address so far. */
async function charged(address: string, path = "/shop", server = ipwarden): Promise<number> {
  const res = await fetch(`${server.url}/v1/decide`, {
    method: "POST", headers: { authorization: `Bearer ${token}` }, body: JSON.stringify({ ip: address, path, dry_run: true }),
  });
  const { limits } = (await res.json()) as { limits: { limit: number; remaining: number }[] };
  return limits[0]!.limit - limits[0]!.remaining;
}

test("an answer serves its network, and what agrees in what is read", async () => {
  const store = new MapStore();
  const a = new Isolate({}, { store });
  const first = await a.ask("/");
  assert.equal(first.pass && first.verdict.network, "198.51.100.0/24");
  for (const [address, path] of [["198.51.100.8", "/"], ["198.51.100.200", "/x?y=z"], ["198.51.100.7", "/other"]] as const) {
    assert.equal((await a.ask(path, address)).verdict.decision, first.verdict.decision);
  }
  assert.equal(questions, 1);
  // Not what is read another way, nor who is another one.
  for (const [address, path, headers, why] of [
    ["198.51.100.8", "/admin", [], "rule"], ["198.51.100.8", "/%61dmin", [], "rule"], ["198.51.100.8", "//admin/x", [], "rule"],
    ["198.51.100.8", "/./admin", [], "rule"], ["198.51.100.8", "/", [["User-Agent", "curl/8"]], "rule"], ["203.0.113.1", "/", [], "rule"],
  ] as [string, string, Facts["headers"], string][]) {
    const got = await a.ask(path, address, headers);
    assert.equal(got.pass, false, path);
    assert.equal(got.verdict.reason, why);
  }
  // What is refused is kept as well, and another isolate finds it.
  await a.behind.done();
  questions = 0;
  const b = new Isolate({}, { store });
  assert.equal((await b.ask("/", "203.0.113.77")).pass, false);
  assert.equal((await b.ask("/y", "198.51.100.9")).verdict.decision, first.verdict.decision);
  assert.equal(questions, 0);
  assert.equal(b.remote.stats.kept, 2);
});

test("what is in the store and is no answer of ours is a miss", async () => {
  const store = new MapStore();
  const a = new Isolate({}, { store });
  assert.equal((await a.ask("/", "203.0.113.1")).pass, false);
  await a.behind.done();
  const whole = [...store.map].map(([k, v]) => [k, v] as const);
  const forged = JSON.stringify({ decision: "x", verdict: "allow", passes: true, lease: { seconds: 3600, network: "203.0.113.0/24" } });
  const junk: ((key: string, value: string) => string)[] = [
    () => "", () => "null", () => "[]", () => "{", () => "\u0000\uffff", (_, v) => v.slice(0, -20), (_, v) => v + " ".repeat(70_000),
    (_, v) => v.replace('"v":1', '"v":2'), (_, v) => v.replace("ipwarden1:", "ipwarden1:x"),
    () => forged, // without its envelope
    (_, v) => v.replace(/"m":\d+/, `"m":${Date.now() + 3_600_000}`), // from the future
    (_, v) => v.replace(/"m":\d+/, '"m":1'),
    (k) => JSON.stringify({ v: 1, k, m: Date.now(), a: forged.replace("203.0.113.0/24", "198.51.100.0/24") }), // of another network
    (k) => JSON.stringify({ v: 1, k, m: Date.now(), a: forged.replace('"passes":true', '"passes":"no"') }),
    (k) => JSON.stringify({ v: 1, k, m: Date.now(), a: forged.replace("3600", "36000000") }),
    (k) => JSON.stringify({ v: 1, k, m: Date.now(), a: JSON.parse(forged) as unknown }),
  ];
  for (const make of junk) {
    store.map.clear();
    for (const [k, v] of whole) store.map.set(k, make(k, v));
    questions = 0;
    const b = new Isolate({ fail: "open" }, { store });
    const got = await b.ask("/", "203.0.113.1");
    assert.equal(got.pass, false, String(make));
    assert.equal(got.verdict.reason, "rule", String(make));
    assert.equal(questions, 1, String(make));
    await b.behind.done();
  }
  // A store that fails or hangs is one that has nothing.
  for (const get of [() => Promise.reject(new Error("away")), () => new Promise<never>(() => {}), () => Promise.resolve([]), (() => { throw new Error("away"); })]) {
    const b = new Isolate({ budget: 6000 }, { store: { get, put: () => Promise.reject(new Error("away")) } });
    assert.equal((await b.ask("/", "203.0.113.1")).verdict.reason, "rule");
    await b.behind.done();
    assert.ok(b.remote.stats.storeFailed > 0); // in writing at least
  }
});

test("a limit is charged by each request, and by none that is asked again", async () => {
  const a = new Isolate();
  for (let i = 0; i < 10; i++) await a.ask("/shop", "198.51.100.20");
  assert.equal(await charged("198.51.100.20"), 10);
  // Those that come at once, too.
  await Promise.all(Array.from({ length: 10 }, () => a.ask("/shop", "198.51.100.21")));
  assert.equal(await charged("198.51.100.21"), 10);
  // The answer is lost: the question is asked again, and was charged.
  let lost = 0;
  fault = (_, res, pass) => void pass().then((text) => (lost++ === 0 ? res.destroy() : res.end(text)));
  const got = await a.ask("/shop", "198.51.100.22");
  assert.equal(got.verdict.reason, "default");
  assert.equal(lost, 2);
  assert.equal(await charged("198.51.100.22"), 1);
});

test("a lease is charged once, whoever asks for it", async () => {
  const leased = await Ipwarden.start(policy, "--limited-verdict-lease", "1h");
  try {
    const store = new MapStore();
    const isolates = Array.from({ length: 4 }, (_, i) => new Isolate({}, { url: leased.url, ...(i % 2 && { store }) }));
    const decisions = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const got = await Promise.all(isolates.flatMap((i) => ["198.51.100.30", "198.51.100.31", "198.51.100.32"].flatMap((a) => [i.ask("/shop", a), i.ask("/shop/2", a)])));
      for (const o of got) decisions.add(o.verdict.decision);
      await Promise.all(isolates.map((i) => i.behind.done()));
    }
    let sum = 0;
    for (const a of ["198.51.100.30", "198.51.100.31", "198.51.100.32"]) sum += await charged(a, "/shop", leased);
    assert.equal(sum, decisions.size);
    assert.equal(sum, 3);
  } finally {
    await leased.end();
  }
});

test("after its lease an answer serves once more while it is asked anew", async () => {
  let now = Date.now();
  const a = new Isolate({}, { now: () => now });
  const first = await a.ask("/", "198.51.100.40");
  now += 61_000;
  assert.equal((await a.ask("/", "198.51.100.40")).verdict.decision, first.verdict.decision);
  assert.equal(a.remote.stats.stale, 1);
  await a.behind.done();
  assert.equal(questions, 2);
  // Away from ipwarden it serves until the end of that, and no longer.
  fault = (_, res) => void res.destroy();
  now += 100_000;
  assert.equal((await a.ask("/", "198.51.100.40")).pass, true);
  now += 3_600_000;
  assert.equal((await a.ask("/", "198.51.100.40")).verdict.reason, "fail_safe");
  await a.behind.done();
});

test("the first request may go by the fail mode, while it is asked about", async () => {
  const a = new Isolate({ first: "pass", fail: "open", routes: [{ path: "/closed", fail: "closed" }] });
  const got = await a.ask("/", "203.0.113.50");
  assert.equal(got.pass && got.verdict.reason, "fail_open");
  await a.behind.done();
  assert.equal((await a.ask("/", "203.0.113.50")).verdict.reason, "rule");
  assert.equal((await a.ask("/closed", "198.51.100.50")).pass, false);
  await a.behind.done();
  assert.equal((await a.ask("/closed", "198.51.100.50")).verdict.reason, "default");
});

/** What an ipwarden does not answer, or not so. */
const faults: Record<string, Fault> = {
  "never answers": () => {},
  "hangs up": (_, res) => void res.destroy(),
  "500": (_, res) => void res.writeHead(500).end("{}"),
  "401": (_, res) => void res.writeHead(401).end("{}"),
  "a redirect": (_, res) => void res.writeHead(302, { location: "/elsewhere" }).end(),
  "no body": (_, res) => void res.writeHead(204).end(),
  "no JSON": (_, res) => void res.end("allow"),
  "no object": (_, res) => void res.end("[]"),
  "nothing in it": (_, res) => void res.end("{}"),
  "passes, but blocks": (_, res) => void res.end('{"decision":"x","verdict":"block","passes":"yes"}'),
  "passes with a status": (_, res) => void res.end('{"decision":"x","verdict":"block","passes":true,"status":403}'),
  "is refused with 101": (_, res) => void res.end('{"decision":"x","verdict":"block","passes":false,"status":101}'),
  "an unknown verdict": (_, res) => void res.end('{"decision":"x","verdict":"pass","passes":true}'),
  "a lease for ever": (_, res) => void res.end('{"decision":"x","verdict":"allow","passes":true,"lease":{"seconds":1e9}}'),
  "too long": (_, res) => void res.end(`{"decision":"x","verdict":"allow","passes":true,"reason":"${"x".repeat(70_000)}"}`),
  "no end": (_, res) => { const more = () => { if (!res.destroyed) res.write(" ".repeat(16384), more); }; more(); },
  "drips": (_, res) => { const t = setInterval(() => (res.destroyed ? clearInterval(t) : res.write(" ")), 20); },
  "no UTF-8": (_, res) => void res.end(Buffer.from([0x22, 0xff, 0xfe, 0x22])),
};

for (const [name, f] of Object.entries(faults)) {
  test(`ipwarden ${name}: the route's fail mode, within the budget`, async () => {
    fault = f;
    const modes = { "/open": "open", "/closed": "closed", "/safe": "safe" } as const;
    const isolates = Object.entries(modes).map(([path, fail]) => ({ path, i: new Isolate({ budget: 300, safe: { limit: 2, window: 60 }, routes: [{ path, fail }], fail: "closed" }) }));
    const [open, closed, safe] = await Promise.all(isolates.map(async ({ path, i }) => {
      const got: Outcome[] = [];
      for (let n = 0; n < 3; n++) got.push(await i.ask(path, "203.0.113.60"));
      return got;
    }));
    for (const o of open!) assert.ok(o.pass && o.verdict.reason === "fail_open" && o.verdict.degraded);
    for (const o of closed!) assert.ok(!o.pass && o.status === 503 && o.headers.some(([n]) => n === "Retry-After"));
    assert.deepEqual(safe!.map((o) => (o.pass ? 200 : o.status)), [200, 200, 429]);
  });
}

test("a path that is spelled otherwise is no way out of a closed route", async () => {
  fault = faults["hangs up"];
  const a = new Isolate({ fail: "open", routes: [{ path: "/admin/*", fail: "closed" }] });
  for (const path of ["/admin", "/admin/", "/%61dmin/x", "//admin/x", "/x/..%2fadmin/x", "/admin%2fx", "/x%5c..%5cadmin", "/admin;a=b/x", "/%zz", "/%2561dmin"]) {
    assert.equal((await a.ask(path)).pass, false, path);
  }
  assert.equal((await a.ask("/administrators")).pass, true);
});

test("a request too long to be judged is refused, whatever the fail mode", async () => {
  const a = new Isolate({ fail: "open" });
  const got = await a.ask("/", "198.51.100.70", [["X-Long", "x".repeat(70_000)]]);
  assert.equal(got.pass, false);
  assert.equal(!got.pass && got.status, 431);
  const many = await a.ask("/", "198.51.100.71", Array.from({ length: 1000 }, (_, i): [string, string] => [`X-${i}`, "v"]));
  assert.equal(many.verdict.reason, "default");
});

test("no address is the fail mode, and no question", async () => {
  const a = new Isolate({ fail: "safe", safe: { limit: 1, window: 60 } });
  const facts: Facts = { address: null, method: "GET", scheme: "https", host: "x", path: "/", headers: [["CF-Connecting-IP", "8.8.8.8"]] };
  assert.equal((await a.gate.check(facts, a.behind)).verdict.reason, "unresolved");
  assert.equal((await a.gate.check(facts, a.behind)).pass, false);
  assert.equal(questions, 0);
});

test("a breaker opens, tries one, and closes", () => {
  const b = new Breaker();
  for (let i = 0; i < 15; i++) b.done(true, 0);
  for (let i = 0; i < 14; i++) b.done(i % 2 === 0, 0); // 7 of the last 20
  assert.ok(b.may(0) && !b.open);
  for (let i = 0; i < 10; i++) b.done(false, 0);
  assert.ok(b.open && !b.may(999));
  assert.ok(b.may(1000) && !b.may(1001), "one");
  b.done(false, 1100);
  assert.ok(!b.may(3099) && b.may(3100) && !b.may(3100));
  assert.ok(b.may(8200), "who tries and is never heard of");
  b.done(true, 8200);
  assert.ok(!b.open && b.may(8200));
});

test("an ipwarden that stops, dies and comes back", async () => {
  const own = await Ipwarden.start(policy);
  let now = Date.now();
  const a = new Isolate({ budget: 400 }, { url: own.url, now: () => now });
  try {
    const patient = new Gate({ budget: 10_000, decider: a.remote }); // the first answer of a server may take a while
    assert.equal((await a.ask("/", "198.51.100.80", [], patient)).verdict.reason, "default");
    await a.behind.done();
    own.signal("SIGSTOP");
    for (let i = 0; i < 8; i++) assert.equal((await a.ask("/shop", `198.51.100.${100 + i}`)).verdict.reason, "fail_safe");
    assert.equal((await a.ask("/", "198.51.100.81")).verdict.reason, "default", "what is kept still serves");
    await a.behind.done();
    assert.ok(a.remote.broken);
    const { asked } = a.remote.stats;
    for (let i = 0; i < 8; i++) assert.equal((await a.ask("/shop", `198.51.100.${110 + i}`)).pass, true);
    assert.equal(a.remote.stats.asked, asked, "it is left alone");
    await own.kill();
    now += 60_000;
    assert.equal((await a.ask("/shop", "198.51.100.80")).verdict.reason, "fail_safe");
    await a.behind.done();
    await own.start();
    now += 60_000;
    const b = new Isolate({}, { url: own.url });
    assert.equal((await b.ask("/shop", "198.51.100.80")).verdict.reason, "default");
    // The probe is as any request, and a busy machine may be late with it.
    for (let i = 0; a.remote.broken && i < 50; i++) {
      now += 60_000;
      await a.ask("/shop", "198.51.100.80");
      await a.behind.done();
    }
    assert.ok(!a.remote.broken);
  } finally {
    await own.end();
  }
});

test("mistakes are said, all of them", () => {
  assert.throws(() => new Remote({ url: "ipwarden", token: "a b" }), /url is "ipwarden".*token is missing/);
  assert.throws(() => new Gate({ decider: undefined as never, fail: "maybe" as never, budget: 0, routes: [{ path: "x" }] }), /decider is missing.*fail is "maybe".*budget is 0.*path is "x"/);
});
