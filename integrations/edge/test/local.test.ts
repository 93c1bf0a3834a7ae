// The engine in the isolate: what it is loaded from, and what happens when that is damaged.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { Gate, type Challenges } from "../src/gate.js";
import { Local } from "../src/local.js";
import { manifestKey, type KV } from "../src/kv.js";
import type { Context, Decider, Facts, Verdict } from "../src/types.js";

const dir = mkdtempSync(join(tmpdir(), "ipwarden-local-"));
const tor = "185.220.101.1", visitor = "78.64.1.1";

function built(out: string, trait: string, more = ""): Map<string, Buffer> {
  writeFileSync(join(dir, "policy.yaml"), `version: 1\nrules:\n  - {name: ${trait}, when: ip.security.is_${trait}, action: block}\n${more}  - {name: away, when: 'request.path == "/away"', action: block, response: away}\nresponses:\n  away: {status: 302, redirect: "https://{request.host}/?{request.query}"}\nlimits:\n  - {name: few, rate: 3/min}\n`);
  const run = spawnSync(resolve(process.env["IPWARDEN_BIN"] ?? "../../bin/ipwarden"), ["edge", "build", "--policy", "policy.yaml", "--kv", "--out", out, "--data-dir", "none"], { cwd: dir });
  assert.equal(run.status, 0, run.stderr.toString());
  const store = new Map<string, Buffer>();
  for (const e of JSON.parse(readFileSync(join(dir, out, "kv.json"), "utf8")) as { key: string; value: string; base64?: boolean }[]) store.set(e.key, Buffer.from(e.value, e.base64 ? "base64" : "utf8"));
  return store;
}

let first: Map<string, Buffer>, second: Map<string, Buffer>;
let engine: WebAssembly.Module, program: Buffer;

before(() => {
  first = built("one", "tor");
  engine = new WebAssembly.Module(readFileSync(join(dir, "one/engine.wasm")));
  program = readFileSync(join(dir, "one/program.bin"));
  second = built("one", "vpn");
});
after(() => rmSync(dir, { recursive: true, force: true }));

const facts = (address: string | null): Facts => ({ address, method: "GET", scheme: "https", host: "example.com", path: "/", headers: [] });
const context: Context & { all: Promise<unknown>[] } = { all: [], waitUntil(p) { this.all.push(p); } };
const route = { fail: "closed", budget: 10000, first: "wait" } as const;
const kv = (store: Map<string, Buffer>): KV => ({ get: async (key) => { const b = store.get(key); return b ? new Uint8Array(b).buffer : null; } });
const local = (store: Map<string, Buffer>, more: object = {}) => new Local({ engine, program, dataset: kv(store), ...more });
const ask = async (l: Local, address: string | null): Promise<string> => (await l.decide(facts(address), context, route)).verdict;

test("it decides from what the store has, and counts limits", async () => {
  const l = local(first);
  assert.equal(await ask(l, tor), "block");
  for (const want of ["allow", "allow", "allow", "throttle"]) assert.equal(await ask(l, visitor), want);
  assert.match(l.date, /^20\d\d-\d\d-\d\d$/);
  const v = (await l.decide(facts(visitor), context, route)) as Verdict;
  assert.equal(v.by, "few");
  assert.ok(v.retryAfter >= 1);
  assert.equal(v.limits?.[0]?.allowed, false);
});

test("a dataset of another policy is not taken", async () => {
  const needs = JSON.parse(first.get(manifestKey)!.toString()).versions[0].needs as string;
  assert.match(needs, /^[0-9a-f]{16}$/);
  const both = new Map([...first, ...second]); // its manifest has the one before too
  assert.equal(await ask(local(both, { needs }), tor), "block");
  await assert.rejects(() => ask(local(second, { needs }), tor), /another policy|is not there/);
  const l = local(first, { needs: "0123456789abcdef" });
  await assert.rejects(() => ask(l, tor), /another policy/);
});

test("a store that never answers is asked again", async () => {
  let now = 1_800_000_000_000, silent = true;
  const store = kv(first);
  const l = local(first, { now: () => now, dataset: { get: (key: string) => (silent ? new Promise(() => {}) : store.get(key, "arrayBuffer")) } });
  const gate = new Gate({ decider: l, fail: "closed", budget: 1 });
  const context: Context = { waitUntil() {} }; // what never ends is not waited for below
  assert.equal((await gate.check(facts(tor), context)).verdict.status, 503);
  silent = false;
  assert.equal((await gate.check(facts(tor), context)).verdict.status, 503);
  now += 30000;
  assert.equal((await l.decide(facts(tor), context, route)).verdict, "block");
});

test("who is asked next is asked about what passes alone", async () => {
  let n = 0;
  const then: Decider = { decide: () => { n++; return { verdict: "step_up", passes: true } as Verdict; } };
  const l = local(first, { then });
  for (let i = 0; i < 5; i++) assert.equal(await ask(l, visitor), "step_up");
  assert.equal(await ask(l, tor), "block");
  assert.equal(n, 5);
});

test("a damaged chunk is as if it were not there: the version before is used", async () => {
  const both = new Map([...first, ...second]);
  const chunk = [...second.keys()].find((k) => k !== manifestKey)!;
  for (const bad of [undefined, Buffer.alloc(0), Buffer.from("junk"), Buffer.from(second.get(chunk)!).fill(1, 100, 101), second.get(chunk)!.subarray(1)]) {
    const store = new Map(both);
    if (bad) store.set(chunk, bad);
    else store.delete(chunk);
    assert.equal(await ask(local(store), tor), "block");
  }
});

test("without a dataset the route's fail mode decides, and nothing gets in by an exception", async () => {
  const chunk = [...first.keys()].find((k) => k !== manifestKey)!;
  const manifest = first.get(manifestKey)!.toString();
  const stores: Map<string, Buffer>[] = [new Map(), new Map([[manifestKey, first.get(manifestKey)!]]), new Map([...first, [chunk, Buffer.from("x")]])];
  for (const bad of ["", "null", "[]", "{}", '{"format":2}', '{"format":1,"versions":[]}', '{"format":1,"versions":[null]}', manifest.replace(/"size":\d+/, '"size":1'), manifest.replace('"format":1', '"format":1e9'), "x".repeat(70000), "\xff"]) {
    stores.push(new Map([...first, [manifestKey, Buffer.from(bad, "latin1")]]));
  }
  for (const store of stores) {
    for (const [fail, status] of [["closed", 503], ["open", 0]] as const) {
      const got = await new Gate({ decider: local(store), fail, budget: 10000 }).check(facts(visitor), context);
      assert.equal(got.verdict.status, status);
    }
  }
  const throws: KV = { get: () => Promise.reject(new Error("the store is away")) };
  const got = await new Gate({ decider: new Local({ engine, program, dataset: throws }), fail: "closed", budget: 10000 }).check(facts(visitor), context);
  assert.equal(got.verdict.status, 503);
});

test("a damaged program or dataset beside the engine is refused with its reason", async () => {
  const chunk = first.get([...first.keys()].find((k) => k !== manifestKey)!)!;
  const flipped = Buffer.from(program);
  flipped[50]! ^= 1;
  const torn = Buffer.from(chunk);
  torn[torn.length - 1]! ^= 1;
  for (const [p, d, want] of [[flipped, chunk, /checksum/], [program, torn, /checksum/], [chunk, program, /no program/], [program, Buffer.from("x"), /no dataset/]] as const) {
    assert.throws(() => new Local({ engine, program: p, dataset: d }).decide(facts(visitor), context, route), want);
  }
  assert.throws(() => new Local({} as never), /engine.*program.*dataset/);
});

test("a newer version is taken up behind an answer, and a broken one is not", async () => {
  let now = Date.parse("2026-11-21T12:00:00Z");
  const store = new Map(first);
  const l = local(store, { now: () => now, limits: false });
  assert.equal(await ask(l, tor), "block");
  for (const [k, v] of second) store.set(k, v);
  assert.equal(await ask(l, tor), "block");
  now += 301_000;
  await ask(l, visitor); // the old one answers; the new one is on its way
  await Promise.all(context.all);
  assert.equal(await ask(l, tor), "allow", "the data that were kept for a policy about VPNs do not say who is Tor");
  store.set(manifestKey, Buffer.from("broken"));
  now += 301_000;
  await ask(l, visitor);
  await Promise.all(context.all);
  assert.equal(await ask(l, visitor), "allow");
});

test("a challenge is for whom is asked, where nothing here knows of clearances", async () => {
  let n = 0, then: Decider["decide"] = () => { throw new Error("away"); };
  const store = built("three", "tor", `  - {name: prove, when: 'request.path == "/prove"', action: challenge}\n`);
  const l = local(store, { program: readFileSync(join(dir, "three/program.bin")), then: { decide: (f, c, r) => (n++, then(f, c, r)) } satisfies Decider });
  const prove = { ...facts(visitor), path: "/prove" };
  const gate = (clearances?: Challenges) => new Gate({ decider: l, fail: "open", budget: 5000, ...(clearances && { clearances }) });
  // Who is asked knows the clearance, or makes a ticket.
  then = async () => ({ verdict: "allow", passes: true, tags: [], traits: [] }) as unknown as Verdict;
  assert.equal((await gate().check(prove, context)).pass, true);
  then = () => ({ verdict: "challenge", passes: false, status: 302, location: "/.ipwarden/challenge?t=x", tags: [], traits: [] }) as unknown as Verdict;
  assert.equal((await gate().check(prove, context)).verdict.location, "/.ipwarden/challenge?t=x");
  assert.equal(n, 2);
  // That it does not answer is no clearance, whatever the fail mode.
  for (const away of [() => { throw new Error("away"); }, () => Promise.reject(new Error("away")), () => new Promise<never>(() => {})]) {
    then = away;
    const got = await new Gate({ decider: l, fail: "open", budget: 500 }).check(prove, context);
    assert.ok(!got.pass && got.verdict.verdict === "challenge" && got.status === 403, JSON.stringify(got));
  }
  // What is known here is decided here, and what is blocked too.
  n = 0;
  assert.equal((await gate({ ceiling: async () => -1, location: async () => "/page?t=y" }).check(prove, context)).verdict.location, "/page?t=y");
  assert.equal((await gate().check(facts(tor), context)).pass, false);
  assert.equal(n, 0);
});

test("what is too long to be judged is refused, and no address is none", async () => {
  const gate = new Gate({ decider: local(first), fail: "open", budget: 10000 });
  const long = { ...facts(visitor), path: "/" + "a".repeat(70000) };
  assert.equal((await gate.check(long, context)).verdict.status, 431);
  // Nobody is sent to half of a place.
  for (const [n, status, length] of [[9000, 302, 9021], [20_000, 431, 0], [60_000, 431, 0]] as const) {
    const got = await gate.check({ ...facts(visitor), path: "/away?" + "a".repeat(n) }, context);
    assert.ok(!got.pass && got.status === status && got.verdict.location.length === length, `${n}: ${got.verdict.status} ${got.verdict.reason} ${got.verdict.location.length}`);
  }
  await assert.rejects(async () => ask(local(first), null), /could not read/);
});
