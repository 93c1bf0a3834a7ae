// Clients behind proxies: sections A and B of the catalogue of evasions, as package
// clientip has them. What is unresolved or without a word of the client is null here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Proxies } from "../src/proxies.js";
import type { HeaderLine } from "../src/types.js";
import { seeded } from "./seeded.js";

const proxy = "10.0.0.5";
const attacker = "203.0.113.66";
const victim = "198.51.100.20";
const byTrust = new Proxies({ trusted: ["10.0.0.0/8"] });
const cloudflare = new Proxies({ trusted: ["173.245.48.0/20"], header: "CF-Connecting-IP" });
const cloudfront = new Proxies({ trusted: ["10.0.0.0/8"], header: "CloudFront-Viewer-Address" });
const xff = (...values: string[]) => values.map((v): HeaderLine => ["X-Forwarded-For", v]);

const cases: [id: string, of: Proxies, peer: string | undefined, headers: HeaderLine[], want: string | null][] = [
  ["A1", byTrust, attacker, xff(victim), attacker],
  ["A2", byTrust, proxy, xff(`${victim}, ${attacker}`), attacker],
  ["A3", byTrust, proxy, xff(`x7f!, ${attacker}`), attacker],
  ["A5", byTrust, proxy, xff(victim, attacker), attacker],
  ["A5 of a proxy", byTrust, proxy, xff(`${victim}, ${attacker}`, "10.0.0.9"), attacker],
  ["A6", byTrust, proxy, xff(`${victim},${attacker} ,\t10.0.0.9 \t`), attacker],
  ["A6 no-break space", byTrust, proxy, xff(`${victim}, ${attacker}\u00a0`), null],
  ["A7", byTrust, proxy, [["X-Real-IP", victim], ...xff(attacker)], attacker],
  ["A8", cloudflare, attacker, [["CF-Connecting-IP", victim]], attacker],
  ["A8 from Cloudflare", cloudflare, "173.245.48.1", [["cf-connecting-ip", victim]], victim],
  ["A8 twice", cloudflare, "173.245.48.1", [["CF-Connecting-IP", victim], ["CF-Connecting-IP", attacker]], null],
  ["A8 a list", cloudflare, "173.245.48.1", [["CF-Connecting-IP", `${victim}, ${attacker}`]], null],
  ["A10", byTrust, proxy, [["Forwarded", `for=${victim}`], ...xff(attacker)], attacker],
  ["A13", byTrust, proxy, xff("10.1.1.1, 10.0.0.9"), "10.1.1.1"],
  ["A14", byTrust, proxy, xff(`${attacker}, not-an-ip`), null],
  ["A14 behind another", byTrust, proxy, xff(`${attacker}, not-an-ip, 10.0.0.9`), null],
  ["A14 empty", byTrust, proxy, xff(`${attacker}, `), null],
  ["A14 empty first", byTrust, proxy, xff(`,${attacker}`), attacker],
  ["A14 empty first, the rest proxies", byTrust, proxy, xff(`,10.0.0.9`), null],
  ["A14 an empty line", byTrust, proxy, xff(""), null],
  ["A14 an empty line first", byTrust, proxy, xff("", "10.0.0.9"), null],
  ["A14 quoted", byTrust, proxy, xff(`"${attacker}"`), null],
  ["A14 a name", byTrust, proxy, xff("unknown"), null],
  ["A15", byTrust, proxy, [], null],
  ["A16", byTrust, proxy, [["Connection", "X-Forwarded-For"], ...xff(attacker)], attacker],
  ["no peer", byTrust, undefined, xff(attacker), null],
  ["B1", byTrust, proxy, xff("::ffff:cb00:7142"), attacker],
  ["B1 a mapped peer", byTrust, "::ffff:203.0.113.66", xff(victim), attacker],
  ["B1 a mapped proxy", byTrust, "::ffff:10.0.0.5", xff(`${victim}, ::ffff:10.0.0.9`), victim],
  ["B2", byTrust, proxy, xff("2001:db8:1:2::1%eth0"), "2001:db8:1:2::1"],
  ["B2 no zone", byTrust, proxy, xff("2001:db8:1:2::1%a b"), null],
  ...["0203.0.113.66", "203.0.0113.66", "0xcb.0.113.66", "3405803842", "203.0.28994", "203.0.113.066", "::ffff:203.0.113.066", "[203.0.113.66]", "203.0.113.66:65536", "203.0.113.66:http", "203.0.113.66:", "[2001:db8::9]:", "[2001:db8::9", "2001:db8::9]", "[[2001:db8::9]]"]
    .map((v): [string, Proxies, string, HeaderLine[], null] => [`B4 and B5 ${v}`, byTrust, proxy, xff(`${victim}, ${v}`), null]),
  ["B5", byTrust, proxy, xff("203.0.113.66:51234"), attacker],
  ["B5 IPv6", byTrust, proxy, xff("[2001:db8::9]:51234"), "2001:db8::9"],
  ["B5 brackets", byTrust, proxy, xff("[2001:db8::9]"), "2001:db8::9"],
  ["B6", byTrust, proxy, xff("64:ff9b::cb00:7142"), attacker],
  ["B6 a proxy inside NAT64 is none", byTrust, proxy, xff(`${victim}, 64:ff9b::a00:9`), "10.0.0.9"],
  ["B6 nor is a peer", byTrust, "64:ff9b::a00:5", xff(victim), "10.0.0.5"],
  ["B7 a peer that put a proxy into 6to4", byTrust, "2002:a00:5::1", xff(victim), "10.0.0.5"],
  ["B8", byTrust, proxy, xff("2001:0:4136:e378:8000:63bf:3fff:fdd2"), "192.0.2.45"],
  ["F10 thousands", byTrust, proxy, xff("198.51.100.20,".repeat(4600) + attacker), attacker],
  ["F10 thousands of proxies", byTrust, proxy, xff(victim + ",10.0.0.9".repeat(7000)), null],
  ["32 elements", byTrust, proxy, xff(attacker + ",10.0.0.9".repeat(31)), attacker],
  ["33 elements", byTrust, proxy, xff(attacker + ",10.0.0.9".repeat(32)), null],
  ["an element of 64 KB", byTrust, proxy, xff(`${victim},${"1".repeat(1 << 16)}`), null],
  ["64 KB of white space", byTrust, proxy, xff(`${victim},${" ".repeat(1 << 16)}${attacker}`), null],
  ["64 KB of commas", byTrust, proxy, xff(",".repeat(1 << 16)), null],
  ["64 KB before what is read", byTrust, proxy, xff(`${"1".repeat(1 << 16)},${attacker}`), attacker],
  ...([
    ["203.0.113.66:46532", attacker], ["2001:db8:85a3::8a2e:370:7334:46532", "2001:db8:85a3::8a2e:370:7334"],
    ["2001:0db8:85a3:0000:0000:8a2e:0370:7334:443", "2001:db8:85a3::8a2e:370:7334"], ["[2001:db8::7]:443", "2001:db8::7"],
    ["203.0.113.66", null], ["2001:db8::beef", null], ["203.0.113.66:70000", null], ["", null], [":80", null],
  ] as const).map(([v, want]): [string, Proxies, string, HeaderLine[], string | null] => [`viewer ${v}`, cloudfront, proxy, [["CloudFront-Viewer-Address", v]], want]),
];

for (const [id, of, peer, headers, want] of cases) {
  test(id, () => assert.equal(of.client(peer, headers), want));
}

test("left of the first untrusted element nothing counts", () => {
  const r = seeded(11);
  for (let i = 0; i < 3000; i++) {
    const left = Array.from({ length: r.below(5) }, () => r.text(60));
    const right = Array.from({ length: r.below(3) }, () => `10.${r.below(256)}.${r.below(256)}.${r.below(256)}`);
    assert.equal(byTrust.client(proxy, xff([...left, attacker, ...right].join(", "))), attacker);
    assert.equal(byTrust.client(proxy, [...xff(...left), ...xff(attacker), ...xff(...right)]), attacker);
  }
});

test("all mistakes at once", () => {
  assert.throws(() => new Proxies({ trusted: ["10.0.0.0/8/1", "x", "10.0.0.0/33", "0.0.0.0/0", "10.0.0.0/-1", "::/0"], header: "a b" }),
    /header is "a b".*"10.0.0.0\/8\/1".*"x".*"10.0.0.0\/33".*"0.0.0.0\/0".*"10.0.0.0\/-1".*"::\/0"/);
  assert.throws(() => new Proxies({ trusted: [] }), /trusted is \[\]: give the proxies/);
  assert.throws(() => new Proxies({ trusted: ["10.0.0.0/8"], header: "Forwarded" }), /Forwarded is not read/);
});
