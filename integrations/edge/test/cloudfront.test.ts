// AWS: what Lambda@Edge may answer and change, and the code of CloudFront Functions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { canonical, network, parse, parseNetwork, within } from "../src/address.js";
import { bare, Gate } from "../src/gate.js";
import { lambdaEdge, type CloudFrontAnswer, type CloudFrontRequest } from "../src/lambda-edge.js";
import type { Verdict } from "../src/types.js";
import { codeOf, event, runFunction, type Sent } from "./rigs.js";
import { seeded } from "./seeded.js";

const client = "198.51.100.7";

/** What a function may not set: CloudFront answers 502. From "Restrictions on all edge functions" of its developer guide. */
const disallowed = /^(connection|expect|keep-alive|proxy-.*|trailer|upgrade|x-accel-.*|x-amz-cf-.*|x-amzn-.*|x-cache|x-edge-.*|x-forwarded-proto|x-real-ip|content-length|host|transfer-encoding|via|warning|accept-encoding|if-.*)$/;

async function run(type: string, verdict: Partial<Verdict>, sent: Sent = {}): Promise<any> {
  const gate = new Gate({ decider: { decide: () => ({ ...bare("allow", 0, "default"), ...verdict }) } });
  return lambdaEdge(gate)(event(type, client, sent)) as Promise<CloudFrontAnswer | CloudFrontRequest>;
}

for (const type of ["viewer-request", "origin-request"]) {
  test(`Lambda@Edge ${type}: the request goes on, all of it`, async () => {
    const e = event(type, client, { headers: [["X-Ipwarden-Risk", "forged"], ["Accept", "a"], ["Accept", "b"]], path: "/a%20b?c=d" });
    const request = e.Records[0]!.cf.request as CloudFrontRequest & Record<string, unknown>;
    Object.assign(request, { origin: { custom: { domainName: "o.example.org" } }, body: { data: "dGV4dA==", encoding: "base64", action: "read-only", inputTruncated: false } });
    const before = { ...request.headers };
    const everything = { risk: 7, country: "SE", asn: 64500, decision: "01ARYZ6S41TSV4RRFFQ69G5FAV", by: "rule", tier: "tier", tags: ["tag"], traits: ["vpn"], limits: [{ name: "l", limit: 1, remaining: 1, window: 1, reset: 1, allowed: true }] };
    const gate = new Gate({ decider: { decide: () => ({ ...bare("allow", 0, "default"), ...everything }) } });
    const answer = (await lambdaEdge(gate)(e)) as CloudFrontRequest & Record<string, unknown>;
    assert.deepEqual([answer.uri, answer.querystring, answer.method, answer["body"], answer["origin"]], ["/a%20b", "c=d", "GET", request["body"], request["origin"]]);
    assert.deepEqual(answer.headers["x-ipwarden-risk"], [{ key: "X-Ipwarden-Risk", value: "7" }]);
    assert.deepEqual(answer.headers["x-ipwarden-country"], [{ key: "X-Ipwarden-Country", value: "SE" }]);
    assert.equal(answer.headers["accept"]?.length, 2);
    for (const [name, lines] of Object.entries(answer.headers)) {
      assert.equal(name, name.toLowerCase(), "CloudFront answers 502 otherwise");
      for (const l of lines) assert.equal(l.key?.toLowerCase(), name);
      if (!(name in before)) assert.doesNotMatch(name, disallowed);
    }
  });

  test(`Lambda@Edge ${type}: a refusal is one that CloudFront takes`, async () => {
    for (const [verdict, status] of [[{ verdict: "block", passes: false, status: 403 }, "403"], [{ verdict: "throttle", passes: false, status: 429, retryAfter: 17 }, "429"], [{ verdict: "challenge", passes: false, status: 302, location: "/.ipwarden/challenge?t=x&to=/" }, "302"]] as [Partial<Verdict>, string][]) {
      for (const accept of ["text/html", "application/json"]) {
        const answer = (await run(type, verdict, { headers: [["Accept", accept]] })) as CloudFrontAnswer;
        assert.equal(answer.status, status);
        assert.equal(typeof answer.body, "string");
        assert.deepEqual(answer.headers["cache-control"], [{ key: "Cache-Control", value: "no-store" }]);
        if (status === "302") assert.equal(answer.headers["location"]?.[0]?.value, "/.ipwarden/challenge?t=x&to=/");
        if (status === "429") assert.equal(answer.headers["retry-after"]?.[0]?.value, "17");
        for (const name of Object.keys(answer.headers)) assert.doesNotMatch(name, disallowed);
        for (const name of Object.keys(answer.headers)) assert.match(name, /^(cache-control|content-security-policy|content-type|location|ratelimit.*|retry-after|vary|x-content-type-options)$/);
      }
    }
  });
}

test("Lambda@Edge: what is too large to be generated is cut", async () => {
  const gate = new Gate({ decider: { decide: () => bare("allow", 0, "default") } });
  const body = "x".repeat(41 << 10);
  gate.check = async () => ({ pass: false, verdict: bare("block", 403, "rule"), status: 403, body, headers: [["Content-Type", "text/html"]] });
  const small = (await lambdaEdge(gate)(event("viewer-request", client, {}))) as CloudFrontAnswer;
  assert.deepEqual([small.body, small.headers["content-type"]?.length], ["Refused.\n", 1]);
  assert.match(small.headers["content-type"]![0]!.value, /^text\/plain/);
  const large = (await lambdaEdge(gate)(event("origin-request", client, {}))) as CloudFrontAnswer;
  assert.equal(large.body, body, "an origin request may have more");
  await assert.rejects(lambdaEdge(gate)(event("viewer-response", client, {})), /associate the function with viewer-request/);
});

test("CloudFront Functions: networks are as anybody else computes them", async () => {
  const r = seeded(3);
  const four = () => [r.below(256), r.below(256), r.below(256), r.below(256)].join(".");
  const six = () => canonical(Array.from({ length: 8 }, () => r.below(4) === 0 ? "0" : r.below(65536).toString(16)).join(":"))!;
  for (let round = 0; round < 15; round++) {
    const block = Array.from({ length: 40 }, () => {
      const bits = parse(r.next() < 0.6 ? four() : six())!;
      return network(bits, r.below(bits.length * 8) + 1);
    });
    const asked = Array.from({ length: 30 }, () => r.next() < 0.5 ? four() : six());
    // And those at the borders of the networks, and beside them.
    for (const net of block) {
      const [text = "", length = ""] = net.split("/");
      for (const bit of [+length - 1, Math.min(+length, parse(text)!.length * 8 - 1)]) {
        const bits = parse(text)!;
        asked.push(canonical(text)!);
        bits[bit >> 3]! ^= 0x80 >> (bit & 7);
        asked.push(network(bits, bits.length * 8).split("/")[0]!);
      }
    }
    for (const address of asked) {
      const at = canonical(address)!;
      const want = block.some((net) => within(parse(at)!, parseNetwork(net)!)) ? 403 : undefined;
      assert.equal((await runFunction({ block }, address, {})).answer.statusCode, want, `${address} in ${block.join(" ")}`);
    }
  }
});

test("CloudFront Functions: the order of the lists, countries, headers", async () => {
  const rules = { allow: ["198.51.100.7"], block: ["198.51.100.0/24"], blockCountry: ["KP", "RU"] };
  const status = async (address: string, country?: string) => (await runFunction(rules, address, country ? { headers: [["CloudFront-Viewer-Country", country]] } : {})).answer.statusCode;
  assert.equal(await status("198.51.100.7", "KP"), undefined);
  assert.equal(await status("198.51.100.8"), 403);
  assert.equal(await status("203.0.113.9", "KP"), 403);
  assert.equal(await status("203.0.113.9", "SE"), undefined);
  assert.equal(await status("203.0.113.9"), undefined);
  assert.equal(await status("203.0.113.9", "P"), undefined);
  assert.equal((await runFunction({ block: ["0.0.0.0/0"] }, "203.0.113.9", {})).answer.statusCode, 403);
  assert.equal((await runFunction({ block: ["0.0.0.0/0"] }, "2001:db8::1", {})).answer.statusCode, undefined);
  const { answer } = await runFunction({}, client, { headers: [["X-Ipwarden-Verdict", "forged"], ["x_ipwarden_risk", "forged"], ["x-middleware-subrequest", "middleware"], ["Accept", "a"]] });
  assert.deepEqual(Object.keys(answer.headers).sort(), ["accept", "host", "x-ipwarden-ip", "x-ipwarden-verdict"]);
  assert.deepEqual([answer.headers["x-ipwarden-ip"].value, answer.headers["x-ipwarden-verdict"].value], [client, "allow"]);
});

test("CloudFront Functions: the words that its runtime has", () => {
  const code = codeOf({ allow: ["198.51.100.7"], block: ["203.0.113.0/24"], blockCountry: ["KP"], challenge: ["0.0.0.0/0", "::/0"] });
  // No classes, destructuring, spread, optional chaining, generators, arrows.
  assert.doesNotMatch(code, /\bclass\b|\.\.\.|\?\.|\?\?|=>|function\s*\*|\b(let|var|const)\s*[[{]/);
  assert.ok(Buffer.byteLength(code) === code.length, "bytes are characters");
});
