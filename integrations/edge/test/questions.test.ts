// Nothing that a client sends makes a question fail, so that the request goes by the
// fail mode, or so that the breaker opens for all others: each is answered, or refused.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { express } from "../src/express.js";
import { bare, Gate } from "../src/gate.js";
import { Remote } from "../src/remote.js";
import type { Facts, HeaderLine } from "../src/types.js";
import { Ipwarden, token } from "./world.js";

const policy = `version: 1
rules:
  - {name: decoy, when: 'request.path.startsWith("/decoy")', action: block, response: decoy}
  - {name: empty, when: 'request.path.startsWith("/empty")', action: block, response: empty}
  - {name: away, when: 'request.path.startsWith("/away")', action: block, response: away}
  - {name: jar, when: 'request.cookies["role"] == "bad"', action: block}
  - {name: name, when: 'request.headers["x-name"] == "Zoë é"', action: block}
  - {name: all, when: ip.security.is_vpn, action: challenge}
responses:
  decoy: {status: 200, title: Welcome}
  empty: {status: 204, title: Nothing}
  away: {status: 302, redirect: "https://{request.host}/other{request.path}?{request.query}"}
`;

const dir = mkdtempSync(join(tmpdir(), "ipwarden-edge-"));
const lost: string[] = [];
let ipwarden: Ipwarden, remote: Remote, gate: Gate;

before(async () => {
  writeFileSync(join(dir, "key"), "ab".repeat(32) + "\n");
  ipwarden = await Ipwarden.start(policy, "--challenge-key-file", join(dir, "key"));
  // What is looked for is no matter of time: a busy machine has as much as it needs.
  const real = globalThis.setTimeout;
  globalThis.setTimeout = ((f: () => void, ms = 0) => real(f, ms * 100)) as typeof setTimeout;
  remote = new Remote({ url: ipwarden.url, token, fetch: async (u, i) => { try { return await fetch(u, i); } catch (e) { lost.push(String(e)); throw e; } } });
  gate = new Gate({ decider: remote, fail: "open", budget: 10_000 });
});

after(async () => {
  await ipwarden?.end();
  rmSync(dir, { recursive: true, force: true });
});

/** What comes of a request of a client that is always to be refused. */
function send(facts: Partial<Facts>) {
  return gate.check({ address: "203.0.113.7", method: "GET", scheme: "https", host: "www.example.org", path: "/", headers: [], ...facts }, { waitUntil: (p) => void p.catch(() => {}) });
}

const values = ["", "\0", "\ud800", "\udfff\ud800", "\u00ff\u0080", "İ\u0130K", '"'.repeat(3000), "\\".repeat(3000), "&".repeat(2000), "%".repeat(2000), "%2f".repeat(600),
  "=".repeat(2040), "<".repeat(9000), "x".repeat(9000), "é".repeat(5000), "😀".repeat(900), ",".repeat(20_000), "x".repeat(63_000), "&".repeat(63_000), "x".repeat(70_000), "\n\r\t", "//evil.example", "a:b:c", "[::1"];

const shapes: Record<string, (v: string) => Partial<Facts>> = {
  path: (v) => ({ path: "/" + v }),
  query: (v) => ({ path: "/?" + v }),
  "path of a redirect": (v) => ({ path: "/away/" + v }),
  "query of a redirect": (v) => ({ path: "/away?" + v }),
  "no path": (v) => ({ path: v }),
  method: (v) => ({ method: v }),
  scheme: (v) => ({ scheme: v }),
  host: (v) => ({ host: v }),
  "user-agent": (v) => ({ headers: [["User-Agent", v], ["user-agent", "Googlebot"]] }),
  cookie: (v) => ({ headers: [["Cookie", v], ["cookie", `ipwarden_clearance=${v}; ipwarden_clearance=${"A".repeat(68)}`]] }),
  "a name": (v) => ({ headers: [[v, "1"], [v.toUpperCase(), "2"], [v.toLowerCase(), "3"]] }),
  account: (v) => ({ account: { [v]: v, id: v } }),
};

for (const [what, shape] of Object.entries(shapes)) {
  test(`whatever is sent, it is judged: ${what}`, async () => {
    for (const v of values) {
      const got = await send(shape(v));
      const where = `${what}: ${JSON.stringify(v.slice(0, 20))} (${v.length}): ${got.verdict.reason}`;
      assert.equal(got.pass, false, where);
      assert.ok(["rule", "ambiguous_path", "too_large"].includes(got.verdict.reason), where);
      assert.equal(remote.stats.failed, 0, `${where} ${lost.join()}`);
    }
  });
}

test("names that JSON could take for another are no question's end", async () => {
  const names = ["__proto__", "constructor", "toString", "Ip", "IP", "ip", "Headers", ":path", "a b", " ", "K", "k", "ſ", "s", "i\u0307", "\u0130", "\ud800", "\udfff"];
  assert.equal((await send({ headers: names.map((n): HeaderLine => [n, "1"]) })).verdict.reason, "rule");
  assert.equal((await send({ headers: Array.from({ length: 3000 }, (_, i): HeaderLine => [`X-${i}`, "v"]) })).verdict.reason, "rule");
  assert.equal(remote.stats.failed, 0);
});

test("a cookie that the policy takes for another is another where answers are kept", async () => {
  const own = new Gate({ decider: new Remote({ url: ipwarden.url, token }), fail: "closed", budget: 10_000 });
  const judge = async (cookie: string) => (await own.check({ address: "198.51.100.7", method: "GET", scheme: "https", host: "x", path: "/", headers: [["cookie", cookie]] }, { waitUntil: (p) => void p.catch(() => {}) })).pass;
  // Each first as nobody reads it, so that this answer is kept when the cookie itself comes.
  for (const space of ["\u00a0", "\ufeff", "\u3000", "\u2028", "\v", "\f", "\r", "\n", "\u2003"]) {
    for (const cookie of [`role=${space}bad`, `role=bad${space}`, `${space}role=bad`, `role${space}=bad`]) {
      assert.equal(await judge(cookie), true, JSON.stringify(cookie));
      assert.equal(await judge("role=bad"), false, `after ${JSON.stringify(cookie)}`);
    }
  }
  for (const cookie of ["role = bad", "a=b;\trole=bad\t", 'role="bad"']) assert.equal(await judge(cookie), false, cookie);
});

test("a value is asked about as the text that its bytes are", async () => {
  const judge = async (value: string) => (await gate.check({ address: "198.51.100.8", method: "GET", scheme: "https", host: "x", path: "/", headers: [["X-Name", value]] }, { waitUntil: (p) => void p.catch(() => {}) })).pass;
  assert.equal(await judge(Buffer.from("Zoë é").toString("latin1")), false);
  for (const value of ["Zoë é", "Zo\u00eb", "\ufeffZoë é", Buffer.from("\ufeffZoë é").toString("latin1"), "\ud800"]) assert.equal(await judge(value), value === "Zoë é" ? false : true, JSON.stringify(value));
});

test("what a policy answers with 200 or 204 is a refusal too", async () => {
  for (const [path, status] of [["/decoy", 200], ["/empty", 204]] as const) {
    const got = await send({ path });
    assert.ok(!got.pass && got.status === status, `${path}: ${JSON.stringify(got)}`);
    assert.equal(got.body === "", status === 204);
    new Response(got.body === "" ? null : got.body, { status: got.status, headers: got.headers });
  }
});

test("the stricter of the routes, whatever the spelling", async () => {
  const closed = new Gate({
    fail: "safe", decider: { decide: () => Promise.reject(new Error("away")) },
    routes: [{ path: "/open", fail: "open" }, { path: "/login", fail: "closed" }, { path: "/api/*", fail: "closed" }, { host: "www.example.org", fail: "open" }],
  });
  for (const path of ["/login", "/LOGIN", "/login/", "/Login/?a", "/%6cogin", "/%4COGIN", "//login", "/./login", "/x/../login", "/x/..;/login", "/login;x", "/login%3bx", "/login%00", "/login%0a", "/login%3fx",
    "/login%23", "/login#x", "/%2e/login", "/x/%2e%2e/login", "/login\\", "/%5clogin", "/x%2f..%2flogin", "/%256cogin", "/%ff", "/api", "/API/x", "/api%2fx", "/%61PI/"]) {
    const got = await closed.check({ address: "203.0.113.7", method: "GET", scheme: "https", host: "www.example.org", path, headers: [] }, { waitUntil() {} });
    assert.ok(!got.pass && got.status === 503, path);
  }
  for (const path of ["/open", "/logins", "/log", "/", "/apis", "/login/x"]) {
    const got = await closed.check({ address: "203.0.113.7", method: "GET", scheme: "https", host: "www.example.org", path, headers: [] }, { waitUntil() {} });
    assert.ok(got.pass && got.verdict.reason === "fail_open", path);
  }
});

test("where each request is asked about, only the first goes by the fail mode", async () => {
  const own = new Gate({ decider: new Remote({ url: ipwarden.url, token }), fail: "open", first: "pass", budget: 10_000 });
  const facts = { address: "203.0.113.8", method: "GET", scheme: "https", host: "x", path: "/", headers: [] };
  const behind: Promise<unknown>[] = [];
  const ask = async () => {
    const got = await own.check(facts, { waitUntil: (p) => void behind.push(p) });
    while (behind.length > 0) await behind.pop();
    return got.verdict.reason;
  };
  await own.check({ ...facts, address: "198.51.100.9" }, { waitUntil: (p) => void behind.push(p) }); // what is read is known then
  await Promise.all(behind.splice(0));
  assert.deepEqual([await ask(), await ask(), await ask()], ["fail_open", "rule", "rule"]);
});

test("a platform without waitUntil is one where nothing is kept alive", async () => {
  for (const context of [undefined, {}, { waitUntil() { throw new Error("over"); } }]) {
    const got = await gate.check({ address: "203.0.113.7", method: "GET", scheme: "https", host: "x", path: "/", headers: [] }, context as never);
    assert.equal(got.verdict.reason, "rule");
  }
  assert.throws(() => new Gate({ decider: remote, routes: [{ host: "WWW.example.org" }, { host: "x:80" }] }), /"WWW.example.org".*"x:80"/);
});

test("routes are of a method, a host, those below one, a path, or of several", async () => {
  const gate = new Gate({
    decider: { decide: () => { throw new Error("away"); } }, fail: "open",
    routes: [{ method: "POST", host: "*.example.org", path: "/api/*", fail: "closed" }, { method: "DELETE", fail: "closed" }, { host: "*.example.net", fail: "closed" }, { host: "example.com", fail: "safe" }],
  });
  for (const [method, host, path, want] of [
    ["POST", "a.example.org", "/api/x", "fail_closed"], ["post", "a.b.example.org", "/api", "fail_closed"], ["POST", "a.example.org", "/API/x/", "fail_closed"],
    ["GET", "a.example.org", "/api/x", "fail_open"], ["POST", "example.org", "/api/x", "fail_open"], ["POST", "aexample.org", "/api/x", "fail_open"], ["POST", "a.example.org", "/x", "fail_open"],
    ["DELETE", "x", "/", "fail_closed"], ["GET", "www.example.net", "/", "fail_closed"], ["GET", "example.net", "/", "fail_open"], ["GET", "example.com", "/", "fail_safe"],
    ["GET", "x", "/%2f", "fail_closed"],
  ] as const) {
    const got = await gate.check({ address: "203.0.113.7", method, scheme: "https", host, path, headers: [] }, { waitUntil() {} });
    assert.equal(got.verdict.reason, want, `${method} ${host}${path}`);
  }
  assert.throws(() => new Gate({ decider: remote, routes: [{ method: "post" }, { host: "*" }, { host: "a.*.org" }, { host: "*org" }] }), /method is "post".*host is "\*".*host is "a\.\*\.org".*host is "\*org"/);
});

test("Express: an error passes nobody, and ends no process", async () => {
  const socket = new Socket();
  Object.defineProperty(socket, "remoteAddress", { value: "203.0.113.7" });
  const req = new IncomingMessage(socket);
  const res = new ServerResponse(req);
  let nexts = 0;
  const said = console.error;
  console.error = () => {};
  try {
    await express(new Gate({ decider: { decide: () => bare("allow", 0, "default") } }), { account: () => { throw new Error("of the application"); } })(req, res, () => nexts++);
  } finally {
    console.error = said;
  }
  assert.equal(nexts, 0);
  assert.equal(res.statusCode, 500);
  assert.ok(res.writableEnded);
});
