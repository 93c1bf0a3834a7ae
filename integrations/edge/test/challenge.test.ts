// The challenge at the edge: a Worker in workerd sends a visitor to the page of a real
// ipwarden, which is solved as browsers solve it; with the cookie the Worker lets it in.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import type { Miniflare } from "miniflare";
import { Clearances } from "../src/clearance.js";
import { Gate } from "../src/gate.js";
import { Local } from "../src/local.js";
import type { Facts, HeaderLine } from "../src/types.js";
import { runFunction } from "./rigs.js";
import { Ipwarden, Origin, patience, token, worker } from "./world.js";
import http from "node:http";

// Who is on a VPN is challenged; everybody is limited.
const policy = `version: 1
rules:
  - {name: vpn, when: ip.security.is_vpn, action: challenge}
  - {name: nowhere, when: ip.location.country_code == "DK", action: block}
`;

const key = "0123456789abcdef".repeat(4);
const path = "/.ipwarden/challenge";
const vpn = "203.0.113.9";

let ipwarden: Ipwarden, origin: Origin, remote: Miniflare, local: Miniflare;

before(async () => {
  process.env["IPWARDEN_CHALLENGE_KEY"] = key;
  origin = await Origin.start();
  ipwarden = await Ipwarden.start(policy);
  delete process.env["IPWARDEN_CHALLENGE_KEY"];
  const bindings = { IPWARDEN_URL: ipwarden.url, IPWARDEN_TOKEN: token, IPWARDEN_ORIGIN: origin.url };
  // What asks ipwarden needs no key. What decides by itself does: this one challenges
  // 203.0.113.0/24 as a policy in the isolate would, with a risk of its own.
  remote = await worker(`import { protect } from "../src/cloudflare"; export default protect({ budget: 10000, fail: "closed" });`, { bindings });
  local = await worker(`
      import { protect } from "../src/worker"; import { bare } from "../src/gate";
      const risk = 40;
      export default protect({ budget: 10000, fail: "closed", decider: { async decide(facts, context) {
        if (!facts.address.startsWith("203.0.113.")) return bare("allow", 0, "default");
        if (await context.cleared(facts) >= risk) return bare("allow", 0, "clearance");
        return { ...bare("challenge", 403, "rule"), risk };
      } } });`, { bindings: { ...bindings, IPWARDEN_CHALLENGE_KEY: key } });
});

after(async () => {
  await Promise.all([remote?.dispose(), local?.dispose()]);
  origin?.end();
  await ipwarden?.end();
});

interface Got {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Sends a request to a Worker as Cloudflare does, again while a decision comes too late: the machine may be busy. */
async function visit(...args: Parameters<typeof visitOnce>): Promise<Got> {
  for (const end = Date.now() + patience; ; ) {
    const got = await visitOnce(...args);
    if (got.status !== 503 || Date.now() > end) return got;
    await new Promise((ok) => setTimeout(ok, 100)); // a breaker may be open
  }
}

async function visitOnce(mf: Miniflare, address: string, path: string, more: { cookie?: string; form?: Record<string, string>; accept?: string } = {}): Promise<Got> {
  const url = new URL(await mf.ready);
  const headers: Record<string, string> = { host: "www.example.org", "CF-Connecting-IP": address, accept: more.accept ?? "text/html" };
  if (more.cookie) headers["cookie"] = more.cookie;
  if (more.form) headers["content-type"] = "application/x-www-form-urlencoded";
  const res = await new Promise<http.IncomingMessage>((ok, no) => {
    http.request({ host: url.hostname, port: url.port, path, method: more.form ? "POST" : "GET", headers, agent: false, timeout: patience }, ok)
      .on("error", no).end(more.form && new URLSearchParams(more.form).toString());
  });
  let body = "";
  for await (const part of res) body += String(part);
  return { status: res.statusCode!, headers: res.headers, body };
}

/** Does what the page's script does. */
function solve(page: string): Record<string, string> {
  const value = (name: string) => new RegExp(`name="${name}"[^>]* value="([^"]*)"`).exec(page)?.[1]?.replaceAll("&amp;", "&") ?? "";
  const bits = Number(/data-bits="(\d+)"/.exec(page)?.[1]);
  const t = value("t");
  assert.ok(t !== "" && bits >= 8, page.slice(0, 2000));
  for (let n = 0; ; n++) {
    const sum = createHash("sha256").update(`${t}.${n}`).digest();
    if (Math.clz32(sum.readUInt32BE()) >= bits) return { t, to: value("to"), kind: "proof_of_work", n: String(n) };
  }
}

/** From the challenge to the cookie, and what the Worker sent the visitor to. */
async function prove(mf: Miniflare, address: string, want: string): Promise<string> {
  const sent = await visit(mf, address, want);
  assert.equal(sent.status, 302, sent.body);
  const to = sent.headers.location!;
  assert.ok(to.startsWith(path + "?t="), to);
  const page = await visit(mf, address, to);
  assert.equal(page.status, 200, page.body);
  assert.equal(page.headers["set-cookie"], undefined);
  assert.match(String(page.headers["content-security-policy"]), /nonce-/);
  const form = solve(page.body);
  const solved = await visit(mf, address, path, { form });
  assert.equal(solved.status, 303, solved.body);
  assert.equal(solved.headers.location, want);
  const cookie = solved.headers["set-cookie"]![0]!;
  assert.match(cookie, /^ipwarden_clearance=[A-Za-z0-9_-]{68}; .*HttpOnly/);
  const replayed = await visit(mf, address, path, { form });
  assert.notEqual(replayed.status, 303, "a solution counts once");
  assert.equal(replayed.headers["set-cookie"], undefined);
  return cookie.split(";")[0]!;
}

for (const [name, mf] of [["ipwarden decides", () => remote], ["the Worker decides", () => local]] as const) {
  test(`${name}: challenge, page, cookie, in`, async () => {
    const cookie = await prove(mf(), vpn, "/a%20b?c=d&e=f");
    const got = await visit(mf(), vpn, "/a%20b?c=d&e=f", { cookie: `x=y; ${cookie}` });
    assert.equal(got.status, 200, got.body);
    const seen = JSON.parse(got.body) as { url: string; headers: Record<string, string> };
    assert.equal(seen.url, "/a%20b?c=d&e=f");
    assert.equal(seen.headers["x-ipwarden-verdict"], "allow");
    assert.equal(seen.headers["x-ipwarden-reason"], "clearance");
    // It is the cookie's, in its network.
    assert.equal((await visit(mf(), "203.0.113.77", "/", { cookie })).status, 200, "the same /24");
    assert.equal((await visit(mf(), vpn, "/")).status, 302, "without the cookie");
    assert.equal((await visit(mf(), vpn, "/", { cookie: cookie.slice(0, -1) + (cookie.endsWith("A") ? "B" : "A") })).status, 302, "a forged one");
    assert.equal((await visit(mf(), vpn, "/", { cookie: cookie.replace("ipwarden_clearance", "other") })).status, 302, "under another name");
  });

  test(`${name}: what the page is, and what it is not`, async () => {
    // Nobody gets to the origin by the page's path.
    const before = origin.hits;
    assert.equal((await visit(mf(), vpn, path)).status, 400, "without a ticket ipwarden's page says so");
    assert.equal((await visit(mf(), vpn, path + "?t=" + "A".repeat(70))).status, 400);
    assert.equal((await visit(mf(), vpn, path + "/x")).status, 302);
    assert.equal((await visit(mf(), vpn, "/x" + path)).status, 302);
    assert.equal(origin.hits, before);
    const json = await visit(mf(), vpn, "/", { accept: "application/json" });
    assert.equal(json.status, 302);
  });
}

test("who is blocked is not let through to the page", async () => {
  assert.equal((await visit(remote, "2001:db8::1", path)).status, 403);
});

test("the cookie of the one is good at the other", async () => {
  const cookie = await prove(remote, "203.0.113.130", "/");
  assert.equal((await visit(local, "203.0.113.130", "/", { cookie })).status, 200);
  const other = await prove(local, "203.0.113.131", "/");
  assert.equal((await visit(remote, "203.0.113.131", "/", { cookie: other })).status, 200);
});

test("a function of CloudFront takes and makes them too", async () => {
  const rules = { challenge: ["203.0.113.0/24", "2001:db8::/33"], allow: ["203.0.113.200"], secret: "key", risk: 40 };
  const run = (address: string, more: { headers?: [string, string][]; path?: string } = {}, keys: Record<string, string> = { key }) => runFunction(rules, address, more, keys);
  assert.equal((await run("203.0.113.200")).answer.uri, "/", "allowed");
  assert.equal((await run("198.51.100.1")).answer.uri, "/", "not asked");
  assert.equal((await run(vpn, { path })).answer.uri, path, "the page itself");
  const { answer } = await run(vpn, { path: "/a%20b?c=d" });
  assert.equal(answer.statusCode, 302);
  // Its ticket is one that ipwarden takes, through the Worker as it happens.
  const page = await visit(remote, vpn, answer.headers.location.value);
  assert.equal(page.status, 200, page.body);
  const solved = await visit(remote, vpn, path, { form: solve(page.body) });
  assert.equal(solved.status, 303, solved.body);
  assert.equal(solved.headers.location, "/a%20b?c=d");
  const cookie = solved.headers["set-cookie"]![0]!.split(";")[0]!;
  const cookies = (text: string): { headers: [string, string][] } => ({ headers: [["Cookie", text]] });
  assert.equal((await run(vpn, cookies(`a=b; ${cookie}`))).answer.uri, "/");
  assert.equal((await run("2001:db8::1", cookies(cookie))).answer.statusCode, 302, "elsewhere");
  const forged = await run(vpn, cookies(cookie.slice(0, -1) + (cookie.endsWith("A") ? "B" : "A")));
  assert.equal(forged.answer.statusCode, 302, "forged");
  assert.equal((await run("203.0.113.130", cookies(cookie), { key: "ff".repeat(32) })).answer.statusCode, 302, "another key");
  assert.equal((await run(vpn, {}, { key: "" })).answer.statusCode, 403, "without a key nobody gets in");
  // Expired, and the ceiling: 40 and ten more.
  assert.equal((await runFunction(rules, vpn, cookies(cookie), { key }, Date.now() + 2 * 3600_000)).answer.statusCode, 302, "expired");
  assert.equal((await runFunction({ ...rules, risk: 51 }, vpn, cookies(cookie), { key })).answer.statusCode, 302, "worse");
  assert.equal((await runFunction({ ...rules, risk: 50 }, vpn, cookies(cookie), { key })).answer.uri, "/");
});

test("what ipwarden edge build writes, with the key", async () => {
  const dir = mkdtempSync(join(tmpdir(), "ipwarden-challenge-"));
  try {
    writeFileSync(join(dir, "policy.yaml"), `version: 1
rules:
  - {name: secret, when: request.path.startsWith("/secret"), action: challenge}
`);
    execFileSync(resolve(process.env["IPWARDEN_BIN"] ?? "../../bin/ipwarden"), ["edge", "build", "--policy", "policy.yaml", "--platform", "node", "--out", "out"], { cwd: dir });
    const file = (name: string) => readFileSync(join(dir, "out", name));
    const decider = new Local({ engine: new WebAssembly.Module(file("engine.wasm")), program: file("program.bin"), dataset: file("dataset.bin") });
    const gate = new Gate({ decider, clearances: new Clearances({ key }), budget: 10000 });
    const check = (address: string, path: string, ...headers: HeaderLine[]) => {
      const facts: Facts = { address, method: "GET", scheme: "https", host: "www.example.org", path, headers };
      return gate.check(facts, { waitUntil: () => {} });
    };
    const address = "185.65.135.9"; // somebody on the Internet
    assert.equal((await check(address, "/")).pass, true);
    const sent = await check(address, "/secret?x=1");
    assert.ok(!sent.pass && sent.status === 302, JSON.stringify(sent));
    const page = await visit(remote, address, sent.verdict.location);
    assert.equal(page.status, 200, page.body);
    const solved = await visit(remote, address, path, { form: solve(page.body) });
    assert.equal(solved.headers.location, "/secret?x=1");
    const cookie: HeaderLine = ["Cookie", solved.headers["set-cookie"]![0]!.split(";")[0]!];
    const cleared = await check(address, "/secret?x=1", cookie);
    assert.deepEqual([cleared.pass, cleared.verdict.verdict, cleared.verdict.reason], [true, "allow", "clearance"]);
    assert.equal((await check("185.65.136.9", "/secret", cookie)).pass, false, "elsewhere");
    // Without the key it is a refusal, cookie or not.
    const without = await new Gate({ decider, budget: 10000 }).check({ address, method: "GET", scheme: "https", host: "www.example.org", path: "/secret", headers: [cookie] }, { waitUntil: () => {} });
    assert.ok(!without.pass && without.status === 403, JSON.stringify(without));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
