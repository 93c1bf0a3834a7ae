// A Worker in workerd, before an origin, that asks a real ipwarden.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Miniflare } from "miniflare";
import { get, Ipwarden, Origin, token, worker } from "./world.js";

const policy = `version: 1
rules:
  - {name: vpn, when: ip.security.is_vpn, action: block}
  - {name: admin, when: request.path.startsWith("/admin"), action: block}
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

test("over a limit is 429 with the wait", async () => {
  let got;
  for (let i = 0; i < 6; i++) got = await get(mf, "/", { "CF-Connecting-IP": "198.51.100.9" });
  assert.equal(got!.status, 429);
  assert.ok(Number(got!.headers.get("retry-after")) >= 1);
  assert.deepEqual((JSON.parse(got!.body) as Record<string, unknown>)["violated-policies"], ["everybody"]);
});
