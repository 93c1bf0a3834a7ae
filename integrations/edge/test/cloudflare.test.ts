// A Worker in workerd, before an origin, that asks a real ipwarden.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import type { Miniflare } from "miniflare";
import { eventually, get, Ipwarden, Origin, token, worker } from "./world.js";

const policy = `version: 1
rules:
  - {name: vpn, when: ip.security.is_vpn, action: block}
  - {name: admin, when: request.path.startsWith("/admin"), action: block}
  - {name: name, when: 'request.headers["x-name"] == "Zoë é" || request.cookies["name"] == "Zoë é"', action: block}
limits:
  - {name: everybody, rate: 5/min}
`;

let ipwarden: Ipwarden, origin: Origin, mf: Miniflare;

before(async () => {
  [ipwarden, origin] = await Promise.all([Ipwarden.start(policy), Origin.start()]);
  mf = await worker(`import { protect } from "../src/cloudflare"; export default protect({ budget: 10000 });`, {
    bindings: { IPWARDEN_URL: ipwarden.url, IPWARDEN_TOKEN: token, IPWARDEN_ORIGIN: origin.url },
  });
});

after(async () => {
  await mf?.dispose();
  origin?.end();
  await ipwarden?.end();
});

test("a request that may pass goes on with what is known", async () => {
  const got = await get(mf, "/a?b=c", { "CF-Connecting-IP": "198.51.100.7", "X-Ipwarden-Verdict": "forged", X_IPWARDEN_RISK: "0", "X-Middleware-Subrequest": "middleware" });
  assert.equal(got.status, 200);
  const h = got.seen!.headers;
  assert.equal(got.seen!.url, "/a?b=c");
  assert.equal(h["x-ipwarden-verdict"], "allow");
  assert.equal(h["x-ipwarden-country"], "SE");
  assert.equal(h["x-ipwarden-ip"], "198.51.100.7");
  assert.match(h["x-ipwarden-decision"]!, /^[0-9A-Z]{26}$/);
  assert.equal(h["x_ipwarden_risk"], undefined);
  assert.equal(h["x-middleware-subrequest"], undefined);
  assert.match(got.headers.get("ratelimit")!, /^"everybody";r=4;t=\d+$/);
  assert.equal(got.headers.get("ratelimit-policy"), '"everybody";q=5;w=60');
});

test("no path leads to another host than the origin", async () => {
  for (const path of ["//evil.example/x", "//evil.example:80/", "///evil.example", "/\\evil.example/x", "/http://evil.example/", "//user@evil.example/", "/.//evil.example/"]) {
    const before = origin.hits;
    const got = await get(mf, path, { "CF-Connecting-IP": `198.51.100.${20 + path.length}` });
    assert.equal(got.status, 200, path);
    assert.equal(origin.hits, before + 1, path);
    assert.ok(got.seen!.url.startsWith("/"), path);
  }
});

test("one that may not is answered at the edge", async () => {
  const before = origin.hits;
  const got = await get(mf, "/", { "CF-Connecting-IP": "203.0.113.9" });
  assert.equal(got.status, 403);
  assert.equal(got.headers.get("content-type"), "application/problem+json");
  const problem = JSON.parse(got.body) as Record<string, unknown>;
  assert.equal(problem["type"], "https://ipwarden.dev/problems/blocked");
  assert.match(problem["decision_id"] as string, /^[0-9A-Z]{26}$/);
  const page = await get(mf, "/admin", { "CF-Connecting-IP": "198.51.100.8", Accept: "text/html" });
  assert.equal(page.status, 403);
  assert.match(page.body, /<h1>Not allowed<\/h1>/);
  assert.match(page.headers.get("content-security-policy")!, /default-src 'none'/);
  assert.equal((await get(mf, "/", { "CF-Connecting-IP": "203.0.113.9" }, "HEAD")).body, "");
  assert.equal(origin.hits, before);
});

test("a value beyond ASCII is what was sent", async () => {
  // node:http writes each character as a byte; the policy reads bytes as UTF-8.
  const bytes = Buffer.from("Zoë é").toString("latin1");
  for (const [headers, status] of [[{ "X-Name": bytes }, 403], [{ Cookie: `a=b; name=${bytes}` }, 403], [{ "X-Name": "Zo\xeb \xe9" }, 200]] as const) {
    assert.equal((await get(mf, "/", { "CF-Connecting-IP": "198.51.100.91", ...headers })).status, status, JSON.stringify(headers));
  }
  // What decides in the isolate gets the same bytes.
  const decider = { bindings: { IPWARDEN_ORIGIN: origin.url } };
  const local = await worker(`import { protect } from "../src/cloudflare"; import { bare } from "../src/gate";
export default protect({ decider: { decide: (f) => ({ ...bare("block", 403, "rule"), decision: f.headers.find(([n]) => n === "x-name")[1].split("").map((c) => c.charCodeAt(0).toString(16)).join("") }) } });`, decider);
  try {
    assert.match((await get(local, "/", { "CF-Connecting-IP": "198.51.100.92", "X-Name": bytes })).body, new RegExp(`"decision_id":"${Buffer.from("Zoë é").toString("hex")}"`));
  } finally {
    await local.dispose();
  }
});

test("over a limit is 429 with the wait", async () => {
  let got;
  for (let i = 0; i < 6; i++) got = await get(mf, "/", { "CF-Connecting-IP": "198.51.100.9" });
  assert.equal(got!.status, 429);
  assert.ok(Number(got!.headers.get("retry-after")) >= 1);
  assert.deepEqual((JSON.parse(got!.body) as Record<string, unknown>)["violated-policies"], ["everybody"]);
});

test("an IPv6 client behind Pseudo IPv4 is itself", async () => {
  const pseudo = { "CF-Connecting-IP": "243.17.1.5" }; // class E: stands for the address in the other header
  const got = await get(mf, "/", { ...pseudo, "CF-Connecting-IPv6": "2001:DB8:0:0::7" });
  assert.equal(got.seen!.headers["x-ipwarden-ip"], "2001:db8::7");
  assert.equal(got.seen!.headers["x-ipwarden-country"], "DK");
  // Without class E that header is the client's own words.
  const forged = await get(mf, "/", { "CF-Connecting-IP": "198.51.100.60", "CF-Connecting-IPv6": "2001:db8::7" });
  assert.equal(forged.seen!.headers["x-ipwarden-ip"], "198.51.100.60");
  for (const real of [{}, { "CF-Connecting-IPv6": "203.0.113.9" }, { "CF-Connecting-IPv6": "2001:db8::7, 2001:db8::8" }] as Record<string, string>[]) {
    assert.equal((await get(mf, "/", { ...pseudo, ...real })).seen!.headers["x-ipwarden-reason"], "unresolved");
  }
});

test("in KV an answer is kept, and one question is enough for all who wait", async () => {
  // Between the Worker and ipwarden: it counts, and lets the first wait for the others.
  let questions = 0, hold: Promise<void> | undefined;
  const between = http.createServer((req, res) => void (async () => {
    questions++;
    const parts: Buffer[] = [];
    for await (const part of req) parts.push(part as Buffer);
    await hold;
    const answer = await fetch(`${ipwarden.url}${req.url}`, { method: "POST", body: Buffer.concat(parts), headers: { authorization: req.headers.authorization! } });
    res.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  })().catch(() => res.destroy())).listen(0, "127.0.0.1");
  await once(between, "listening");
  const own = await worker(`import { protect } from "../src/cloudflare"; export default protect({ budget: 10000 });`, {
    bindings: { IPWARDEN_URL: `http://127.0.0.1:${(between.address() as AddressInfo).port}`, IPWARDEN_TOKEN: token, IPWARDEN_ORIGIN: origin.url }, kvNamespaces: ["IPWARDEN_KV"],
  });
  try {
    let go = () => {};
    hold = new Promise((ok) => (go = ok));
    const waiting = Array.from({ length: 8 }, () => get(own, "/", { "CF-Connecting-IP": "203.0.113.30" }));
    await eventually("a question", () => questions > 0);
    go();
    const ids = new Set((await Promise.all(waiting)).map((g) => (JSON.parse(g.body) as { decision_id: string }).decision_id));
    assert.equal(ids.size, 1);
    // Who came when it was over may have found it kept; who came before waited.
    assert.ok(questions <= 2, `${questions} questions`);
    const kv = (await own.getKVNamespace("IPWARDEN_KV")) as unknown as { list(): Promise<{ keys: { name: string }[] }> };
    await eventually("two values in KV", async () => (await kv.list()).keys.length >= 2); // what is read, and the answer
    for (const { name } of (await kv.list()).keys) assert.match(name, /^ipwarden1:[\w=-]+$/);
    questions = 0;
    assert.equal((await get(own, "/other", { "CF-Connecting-IP": "203.0.113.31" })).status, 403); // another of its network
    assert.equal(questions, 0);
  } finally {
    await own.dispose();
    between.close();
    between.closeAllConnections();
  }
});

test("a Pages function stands before a site", async () => {
  const own = await worker(`import { pages } from "../src/cloudflare";
    const onRequest = pages({ budget: 10000 });
    export default { fetch(request, env, ctx) {
      const next = (r) => { const u = new URL(r.url); return fetch(new Request(env.IPWARDEN_ORIGIN + u.pathname + u.search, r)); };
      return onRequest({ request, env, next, waitUntil: (p) => ctx.waitUntil(p), params: {}, data: {} });
    } };`, { bindings: { IPWARDEN_URL: ipwarden.url, IPWARDEN_TOKEN: token, IPWARDEN_ORIGIN: origin.url } });
  try {
    const got = await get(own, "/a?b", { "CF-Connecting-IP": "198.51.100.40", "X-Ipwarden-Country": "XX" });
    assert.equal(got.seen!.headers["x-ipwarden-country"], "SE");
    assert.equal(got.seen!.url, "/a?b");
    assert.equal((await get(own, "/", { "CF-Connecting-IP": "203.0.113.9" })).status, 403);
  } finally {
    await own.dispose();
  }
});

test("an ipwarden that is killed and comes back", async () => {
  const mortal = await Ipwarden.start(policy);
  const own = await worker(`import { protect } from "../src/cloudflare";
    export default protect({ budget: 1000, safe: { limit: 1, window: 600 }, routes: [{ path: "/closed", fail: "closed" }, { path: "/open", fail: "open" }] });`, {
    bindings: { IPWARDEN_URL: mortal.url, IPWARDEN_TOKEN: token, IPWARDEN_ORIGIN: origin.url },
  });
  const from = (n: number) => ({ "CF-Connecting-IP": `198.51.100.${n}` });
  try {
    await eventually("an answer", async () => (await get(own, "/closed", from(50))).seen?.headers["x-ipwarden-reason"] === "default");
    const slow = get(own, "/closed", from(51)); // it may be answered, or not
    await mortal.kill();
    assert.ok([200, 503].includes((await slow).status));
    const closed = await get(own, "/closed", from(52));
    assert.equal(closed.status, 503);
    assert.ok(closed.headers.get("retry-after"));
    const open = await get(own, "/open", from(52));
    assert.equal(open.seen!.headers["x-ipwarden-reason"], "fail_open");
    assert.equal(open.seen!.headers["x-ipwarden-degraded"], "true");
    assert.equal((await get(own, "/", from(52))).seen!.headers["x-ipwarden-reason"], "fail_safe");
    assert.equal((await get(own, "/", from(52))).status, 429);
    await mortal.start();
    await eventually("it is asked again", async () => (await get(own, "/closed", from(53))).status === 200);
  } finally {
    await own.dispose();
    await mortal.end();
  }
});

test("a Worker that is configured wrongly lets nothing through", async () => {
  const own = await worker(`import { protect } from "../src/cloudflare"; export default protect({ fail: "open" });`, { bindings: { IPWARDEN_ORIGIN: origin.url }, handleRuntimeStdio: () => {} });
  try {
    const before = origin.hits;
    assert.equal((await get(own, "/", { "CF-Connecting-IP": "198.51.100.7" })).status, 500);
    assert.equal(origin.hits, before);
  } finally {
    await own.dispose();
  }
});
