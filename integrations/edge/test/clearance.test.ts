// Tickets and clearances are those of gate/challenge: the file is what its own tests read.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { canonical } from "../src/address.js";
import { Clearances, networkOf, safeTo } from "../src/clearance.js";
import type { Facts, HeaderLine } from "../src/types.js";
import { seeded } from "./seeded.js";

interface Vectors {
  key: string;
  networks: { address: string; client: string; network: string }[];
  tickets: { text: string; id: string; issued: number; network: string; risk: number; again: boolean; fallback: boolean }[];
  clearances: { text: string; issued: number; expires: number; client: string; network: string; ceiling: number }[];
}
const v = JSON.parse(readFileSync("test/clearance.json", "utf8")) as Vectors;
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (b: Uint8Array) => Buffer.from(b).toString("hex");
const facts = (address: string | null, ...headers: HeaderLine[]): Facts => ({ address, method: "GET", scheme: "https", host: "example.org", path: "/a?b=c", headers });
const at = (seconds: number) => new Clearances({ key: v.key, now: () => seconds * 1000 });

test("networks are the gate's", () => {
  for (const n of v.networks) {
    assert.equal(canonical(n.address), n.client, n.address);
    assert.equal(hex(networkOf(n.client)), n.network, n.address);
  }
  assert.equal(hex(networkOf(null)), "00".repeat(9));
  assert.equal(hex(networkOf("junk")), "00".repeat(9));
});

test("a ticket is the gate's, byte for byte", async () => {
  for (const t of v.tickets) {
    assert.equal(await at(0).sealTicket({ ...t, id: bytes(t.id), network: bytes(t.network) }), t.text);
  }
});

test("a clearance of the gate's holds as there", async () => {
  for (const c of v.clearances) {
    const cookie: HeaderLine = ["Cookie", `a=b; ipwarden_clearance=${c.text}; c="d"`];
    assert.deepEqual(await at(0).openClearance(c.text), { issued: c.issued, expires: c.expires, ceiling: c.ceiling, network: bytes(c.network) });
    const ceiling = (address: string | null, when: number, ...h: HeaderLine[]) => at(when).ceiling(facts(address, ...h));
    assert.equal(await ceiling(c.client, c.expires - 1, cookie), c.ceiling, c.client);
    assert.equal(await ceiling(c.client, c.expires, cookie), -1, "expired");
    assert.equal(await ceiling(null, c.issued, cookie), -1, "no address");
    assert.equal(await ceiling("100.2.3.4", c.issued, cookie), -1, "elsewhere");
    assert.equal(await ceiling(c.client, c.issued), -1, "no cookie");
    assert.equal(await new Clearances({ key: "00".repeat(32), now: () => c.issued * 1000 }).ceiling(facts(c.client, cookie)), -1, "another key");
  }
});

test("every bit of a clearance counts", async () => {
  const c = v.clearances[1]!;
  const raw = Buffer.from(c.text, "base64url");
  for (let bit = 0; bit < raw.length * 8; bit++) {
    const forged = Buffer.from(raw);
    forged[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(await at(c.issued).openClearance(forged.toString("base64url")), undefined, `bit ${bit}`);
  }
  for (const text of ["", "=", c.text + "=", c.text.slice(1), c.text + "A", " " + c.text.slice(1), c.text.replace(/.$/, "\n"), v.tickets[0]!.text, "é".repeat(68), "\u0000".repeat(68), c.text.slice(0, -1) + "+"]) {
    assert.equal(await at(c.issued).openClearance(text), undefined, JSON.stringify(text));
  }
});

test("of many cookies 16 are looked at, in however many lines", async () => {
  const c = v.clearances[0]!;
  const good = `ipwarden_clearance=${c.text}`;
  const junk = (n: number): HeaderLine => ["cookie", Array.from({ length: n }, (_, i) => `ipwarden_clearance=${i}`).join("; ")];
  const cleared = async (...h: HeaderLine[]) => (await at(c.issued).ceiling(facts(c.client, ...h))) === c.ceiling;
  assert.equal(await cleared(junk(15), ["COOKIE", good]), true);
  assert.equal(await cleared(junk(16), ["Cookie", good]), false);
  assert.equal(await cleared(["Cookie", `;;; ;\t${good}\t;`]), true);
  assert.equal(await cleared(["Cookie", `xipwarden_clearance=${c.text}`], ["X-Cookie", good]), false);
  assert.equal(await cleared(["Cookie", `ipwarden_clearance = ${c.text}`]), false);
  assert.equal(await cleared(["Cookie", ";".repeat(64 << 10)], ["Cookie", good]), true);
});

test("spaces in a cookie cost what reading them does", async () => {
  // One look at each: a look at the rest of the run from each of them took half a minute.
  const line = "a=1" + " ".repeat(150_000) + "x; ipwarden_clearance=" + "\t".repeat(150_000) + "x";
  const began = performance.now();
  assert.equal(await at(0).ceiling(facts("203.0.113.7", ["Cookie", line])), -1);
  assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`);
});

test("whatever a cookie says, nothing is thrown", async () => {
  const r = seeded(7);
  for (let i = 0; i < 2000; i++) {
    const text = r.text(90);
    assert.equal(await at(0).ceiling(facts("198.51.100.20", ["Cookie", "ipwarden_clearance=" + text])), -1, text);
  }
});

test("the link that a client gets", async () => {
  const now = 1_800_000_000;
  const link = async (path: string, ...h: HeaderLine[]) => new URL(await at(now).location({ ...facts("2001:db8:1:2::7", ...h), path }, 61.4), "https://example.org");
  const to = await link("/a b/ü?x=1&y=#z");
  assert.equal(to.pathname, "/.ipwarden/challenge");
  assert.equal(to.searchParams.get("to"), "/a%20b/%C3%BC?x=1&y=%23z");
  const raw = Buffer.from(to.searchParams.get("t")!, "base64url");
  assert.equal(raw.length, 52);
  assert.equal(hex(raw.subarray(36)), hex(createHmac("sha256", bytes(v.key)).update(raw.subarray(0, 36)).digest().subarray(0, 16)));
  assert.deepEqual([raw[0], raw[1], Number(raw.readBigInt64BE(18)), raw.toString("hex", 26, 35), raw[35]], [0x11, 0, now * 1000, "0620010db800010002", 61]);
  assert.notEqual((await link("/")).searchParams.get("t"), (await link("/")).searchParams.get("t"), "each has an id of its own");
  for (const [path, want] of [["//evil.example/", "/"], ["/\\evil.example", "/%5Cevil.example"], ["/\t/evil.example", "/%09/evil.example"], ["/.ipwarden/challenge?t=x", "/"], ["/" + "a".repeat(3000), "/"], ["/.ipwarden/challenge2", "/.ipwarden/challenge2"], ["/a\ud800b\u0000\x7f", "/ab%00%7F"]] as const) {
    assert.equal((await link(path)).searchParams.get("to"), want, path);
  }
  // Who was cleared within the last minute is told to click.
  const c = v.clearances[0]!;
  const again = async (when: number) => Buffer.from(new URL(await at(when).location(facts("192.0.2.1", ["Cookie", "ipwarden_clearance=" + c.text]), 0), "https://example.org").searchParams.get("t")!, "base64url")[1];
  assert.equal(await again(c.issued + 59), 1);
  assert.equal(await again(c.issued + 60), 0);
  assert.equal(safeTo("", ""), "/");
});

test("all mistakes at once, and the key in none", () => {
  const secret = "c0ffee".repeat(5);
  assert.throws(() => new Clearances({ key: secret, path: "x", cookie: "a b" }), (e: Error) => {
    assert.match(e.message, /key is missing or wrong: .*; path is "x".*; cookie is "a b"/);
    assert.ok(!e.message.includes(secret));
    return true;
  });
  const bad = (key: unknown) => assert.throws(() => new Clearances({ key: key as string }), /openssl rand -hex 32/);
  [undefined, "", "zz".repeat(32), "a".repeat(65), new Uint8Array(31)].forEach(bad);
  assert.ok(!JSON.stringify(new Clearances({ key: v.key })).includes(v.key));
});
