// Sections A and F of the catalogue of evasions, through every adapter: whatever a client
// sends, the address that is judged is the one that the platform knows, or none.
import assert from "node:assert/strict";
import { test } from "node:test";
import { canonical } from "../src/address.js";
import type { HeaderLine } from "../src/types.js";
import { rigs, type Rig, type Seen } from "./rigs.js";
import { seeded } from "./seeded.js";

const client = "203.0.113.66";
const victim = "198.51.100.20";

/** Where some proxy, platform or application looks for a client. */
const names = `X-Forwarded-For Forwarded X-Real-IP True-Client-IP X-Client-IP X-Cluster-Client-IP X-Original-Forwarded-For
  CF-Connecting-IP CF-Connecting-IPv6 CF-Pseudo-IPv4 Fastly-Client-IP Fly-Client-IP CloudFront-Viewer-Address X-Vercel-Forwarded-For
  X-Vercel-Proxied-For X-Nf-Client-Connection-Ip DO-Connecting-IP X-Azure-ClientIP X-Azure-SocketIP X-Appengine-User-Ip X-Envoy-External-Address
  Incap-Client-IP X-Sucuri-ClientIP Ali-CDN-Real-IP CDN-Src-IP EO-Connecting-IP Client-IP Forwarded-For X-Forwarded X-Forwarded-Client-IP
  X-Originating-IP X-Remote-IP X-Remote-Addr Remote-Addr X-ProxyUser-IP WL-Proxy-Client-IP Proxy-Client-IP X-True-IP X-Ip Via
  X-Ipwarden-Ip X-Middleware-Request-X-Vercel-Forwarded-For X-Amz-Cf-Ip X-Forwarded-By Host-Ip Z-Forwarded-For`.split(/\s+/);

const values = [
  victim, `${victim}, ${client}`, `${client}, ${victim}`, `${victim}:51234`, `[${victim}]`, "::ffff:198.51.100.20", "[2001:db8::9]:51234", "2001:db8::9%eth0",
  "0306.063.0144.024", "198.51.0100.20", "0xc6.51.100.20", "3325256724", "198.51.25620", "127.0.0.1", "::1", "", "unknown", "_hidden", `for=${victim}`,
  `for="[2001:db8::9]:4711";proto=https`, `"${victim}"`, `${victim}\t`, ",,,,", "10.0.0.1, ".repeat(50) + victim, "1".repeat(64 << 10), `${victim},`.repeat(4700),
];

const own = (rig: Rig, name: string) => rig.own.includes(name.toLowerCase());

/** What holds whatever is sent. */
function holds(rig: Rig, seen: Seen, source: string | null, what: string) {
  assert.equal(seen.address, canonical(source), `${rig.name}: the address that was judged, ${what}`);
  if (seen.facts) assert.equal(seen.facts.address, canonical(source), `${rig.name}: ${what}`);
  for (const [name, value] of seen.upstream ?? []) {
    const plain = name.toLowerCase().replace(/[^a-z0-9]/g, "-");
    assert.ok(!plain.startsWith("x-middleware-subrequest"), `${rig.name}: ${name} goes on, ${what}`);
    if (plain.startsWith("x-ipwarden-")) assert.ok(!/forged|51\.100/.test(value), `${rig.name}: ${name}: ${value} goes on, ${what}`);
  }
}

for (const rig of rigs) {
  test(`A: nothing that a client sends is its address: ${rig.name}`, async () => {
    for (const name of names) {
      if (own(rig, name)) continue;
      for (const value of values) {
        for (const spelling of [name, name.toUpperCase().replaceAll("-", "_")]) {
          const headers: HeaderLine[] = [[spelling, value]];
          holds(rig, await rig.send(client, { headers }), client, `${spelling}: ${value.slice(0, 60)}`);
        }
      }
      const twice: HeaderLine[] = [[name, victim], ["X-Other", "1"], [name, "198.51.100.21"]];
      holds(rig, await rig.send(client, { headers: twice }), client, `${name} twice`);
      holds(rig, await rig.send(client, { headers: [["Connection", name], [name, victim]] }), client, `${name} hop by hop`);
    }
    const all = names.filter((n) => !own(rig, n)).map((n): HeaderLine => [n, victim]);
    holds(rig, await rig.send(client, { headers: all }), client, "all at once");
    // F10: a thousand lines, and lines of 64 KB.
    const many = Array.from({ length: 1000 }, (_, i): HeaderLine => [i % 2 ? "X-Forwarded-For" : `X-Junk-${i}`, `198.51.100.${i % 256}`]);
    holds(rig, await rig.send(client, { headers: many }), client, "a thousand lines");
  });

  test(`A: where the platform says nothing, the route's fail mode decides: ${rig.name}`, async () => {
    const all = names.filter((n) => !own(rig, n)).map((n): HeaderLine => [n, victim]);
    for (const headers of [[], all]) {
      for (const source of [null, "", "unknown", "203.0.113.066", "203.0.113.66:80", "[2001:db8::1]", `${victim}, ${client}`, "0xcb.0.113.66", "3405803842", "203.0.113.66/32", "1".repeat(200), "%eth0"]) {
        const seen = await rig.send(source, { headers });
        assert.equal(seen.upstream, undefined, `${rig.name}: ${source} goes on`);
        assert.ok(seen.status === 503 || seen.status === 403, `${rig.name}: ${source}: ${seen.status}`);
        if (seen.facts) assert.equal(seen.facts.address, null, `${rig.name}: ${source}`);
      }
    }
  });

  test(`B: an address is its bits: ${rig.name}`, async () => {
    for (const [source, want] of [
      ["::ffff:203.0.113.66", client], ["::ffff:cb00:7142", client], ["2001:DB8:1:2:0:0:0:1", "2001:db8:1:2::1"],
      ["2002:cb00:7142:1::1", client], ["64:ff9b::cb00:7142", client], ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"],
    ] as const) {
      const seen = await rig.send(source, {});
      assert.equal(seen.address, want, `${rig.name}: ${source}`);
      assert.equal(canonical(seen.upstream?.find(([n]) => n.toLowerCase() === "x-ipwarden-ip")?.[1]), want, `${rig.name}: ${source}`);
    }
  });

  test(`F: what only the gate says, and what is judged: ${rig.name}`, async () => {
    // F7 and F8, in all the spellings that a server behind may take for them.
    const forged: HeaderLine[] = ["X-Ipwarden-Verdict", "x-ipwarden-risk", "X_IPWARDEN_RISK", "X-Ipwarden_Tags", "x-IPWARDEN-Anything", "X.Ipwarden.Verdict"].map((n) => [n, "forged"]);
    const middle = "middleware:middleware:middleware:middleware:middleware";
    const subrequest: HeaderLine[] = [["x-middleware-subrequest", middle], ["X-Middleware-Subrequest-Id", "forged"], ["X_Middleware_Subrequest", `src/${middle}`]];
    const innocent: HeaderLine = ["X-Ipwardenish", "stays"];
    for (const headers of [[...forged, innocent], [...subrequest, innocent], [...forged, ["Connection", "X-Ipwarden-Verdict, close, X-Ipwarden-Ip"] as HeaderLine, innocent]]) {
      const seen = await rig.send(client, { headers });
      holds(rig, seen, client, JSON.stringify(headers).slice(0, 80));
      assert.ok(seen.upstream, `${rig.name}: it runs, and lets it on`);
      assert.ok(seen.upstream.some(([n, v]) => n.toLowerCase() === "x-ipwardenish" && v === "stays"), rig.name);
      const verdicts = new Set(seen.upstream.filter(([n]) => n.toLowerCase().replace(/[^a-z0-9]/g, "-") === "x-ipwarden-verdict").map(([, v]) => v));
      assert.deepEqual([...verdicts], ["allow"], rig.name);
      for (const [n, v] of seen.upstream) if (n.toLowerCase() === "connection") assert.ok(!/ipwarden/i.test(v), `${rig.name}: ${v}`);
    }
    // F2, F3, F6: the method and the path are the transport's.
    const headers: HeaderLine[] = ["X-Original-URI", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Host", "X-HTTP-Method-Override", "X-Method-Override", "X-Forwarded-Proto"].map((n) => [n, "/admin"]);
    const seen = await rig.send(client, { headers, method: "POST", path: "/public?a=b" });
    if (seen.facts) assert.deepEqual([seen.facts.method, seen.facts.path, seen.facts.host], ["POST", "/public?a=b", "example.org"], rig.name);
  });

  test(`whatever is sent: ${rig.name}`, async () => {
    const r = seeded(rig.name.length * 7919);
    for (let i = 0; i < 800; i++) {
      const headers: HeaderLine[] = [];
      for (let n = r.below(6); n >= 0; n--) {
        let name = r.next() < 0.8 ? r.pick(names) : "x-" + r.text(12).replace(/[^a-zA-Z0-9_-]/g, "");
        if (r.next() < 0.3) name = name.toLowerCase();
        if (r.next() < 0.2) name = name.replaceAll("-", "_");
        if (!own(rig, name.replaceAll("_", "-"))) headers.push([name, rig.raw && r.next() < 0.2 ? r.text(80) + String.fromCharCode(r.below(32)) : r.text(200).trim()]);
      }
      let lines = headers;
      if (!rig.raw) lines = headers.filter(([n, v]) => { try { return new Headers([[n, v]]); } catch { return false; } });
      const source = r.pick([client, "2001:db8::7", "::ffff:203.0.113.66", null, "junk"]);
      const seen = await rig.send(source, { headers: lines });
      if (canonical(source) === null) assert.equal(seen.upstream, undefined, rig.name);
      else holds(rig, seen, source, JSON.stringify(lines).slice(0, 300));
    }
  });
}
