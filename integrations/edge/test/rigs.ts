// Every adapter behind one shape: what the platform knows of the other end, and what a
// client sends, go in; what the gate was asked, and what the origin gets, come out.
import { execFileSync } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { resolve } from "node:path";
import { runInNewContext } from "node:vm";
import { canonical } from "../src/address.js";
import * as cloudflare from "../src/cloudflare.js";
import { express } from "../src/express.js";
import { bun, deno, node, protect } from "../src/fetch.js";
import { bare, Gate, type GateOptions } from "../src/gate.js";
import { hono } from "../src/hono.js";
import { lambdaEdge, type CloudFrontAnswer, type CloudFrontEvent, type CloudFrontRequest } from "../src/lambda-edge.js";
import type { Facts, HeaderLine, Verdict } from "../src/types.js";
import { middleware } from "../src/vercel.js";

/** What came of a request. */
export interface Seen {
  /** What the gate was asked; absent where there is no gate, or where it was not asked. */
  facts?: Facts;
  /** The address that was judged. */
  address: string | null;
  /** What the origin gets; absent for a refusal. */
  upstream?: HeaderLine[];
  status: number;
  /** The client's answer. */
  reply: HeaderLine[];
}

export interface Sent {
  headers?: HeaderLine[];
  method?: string;
  /** Raw, with its query. */
  path?: string;
  verdict?: Partial<Verdict>;
  gate?: Partial<GateOptions>;
}

export interface Rig {
  name: string;
  /** Headers that are the platform's own: it overwrites them, so that no client sends them. */
  own: string[];
  /** Whether lines that no Fetch Headers takes can get here. */
  raw: boolean;
  send(address: string | null, sent: Sent): Promise<Seen>;
}

/** A gate that remembers what it was asked, and answers as told. */
function gateOf(sent: Sent): { gate: Gate; seen: { facts?: Facts } } {
  const seen: { facts?: Facts } = {};
  const gate = new Gate({
    fail: "closed",
    decider: { decide: () => ({ ...bare("allow", 0, "default"), degraded: false, decision: "01ARYZ6S41TSV4RRFFQ69G5FAV", ...sent.verdict }) },
    ...sent.gate,
  });
  const check = gate.check.bind(gate);
  gate.check = (facts, context) => {
    seen.facts = facts;
    return check(facts, context);
  };
  return { gate, seen };
}

const url = (sent: Sent) => "https://example.org" + (sent.path ?? "/");
const lines = (h: Headers) => [...h] as HeaderLine[];
const request = (sent: Sent, ...more: HeaderLine[]) => new Request(url(sent), { method: sent.method ?? "GET", headers: [...(sent.headers ?? []), ...more] });

function done(seen: { facts?: Facts }, upstream: HeaderLine[] | undefined, status: number, reply: HeaderLine[]): Seen {
  return { ...(seen.facts && { facts: seen.facts }), address: seen.facts?.address ?? null, ...(upstream && { upstream }), status, reply };
}

/** What a Response says of a middleware for Next.js. */
function ofNext(answer: Response): { upstream?: HeaderLine[]; reply: HeaderLine[] } {
  const names = answer.headers.get("x-middleware-override-headers");
  const reply = lines(answer.headers).filter(([n]) => !n.startsWith("x-middleware-"));
  if (answer.headers.get("x-middleware-next") !== "1") return { reply };
  return { upstream: (names ?? "").split(",").map((n) => [n, answer.headers.get("x-middleware-request-" + n) ?? "(missing)"]), reply };
}

function fetched(name: string, source: typeof deno, platform: (address: string | null) => unknown): Rig {
  return {
    name, own: [], raw: false,
    async send(address, sent) {
      const { gate, seen } = gateOf(sent);
      let upstream: HeaderLine[] | undefined;
      const app = (r: Request) => ((upstream = lines(r.headers)), new Response("app", { headers: { "x-app": "1" } }));
      const answer = await protect(gate, app, { peer: source })(request(sent), platform(address));
      return done(seen, upstream, answer.status, lines(answer.headers));
    },
  };
}

async function connect(address: string | null, sent: Sent): Promise<Seen> {
  const { gate, seen } = gateOf(sent);
  const socket = new Socket();
  if (address !== null) Object.defineProperty(socket, "remoteAddress", { value: address });
  const req = new IncomingMessage(socket);
  req.method = sent.method ?? "GET";
  req.url = sent.path ?? "/";
  req.rawHeaders = [["Host", "example.org"] as HeaderLine, ...(sent.headers ?? [])].flat();
  // What Node's parser does with lines: names in lower case, lists joined.
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i]!.toLowerCase();
    const before = req.headers[name];
    req.headers[name] = before === undefined ? req.rawHeaders[i + 1]! : before + (name === "cookie" ? "; " : ", ") + req.rawHeaders[i + 1]!;
    (req.headersDistinct[name] ??= []).push(req.rawHeaders[i + 1]!);
  }
  const res = new ServerResponse(req);
  let upstream: HeaderLine[] | undefined;
  await express(gate)(req, res, () => {
    upstream = [];
    for (const [name, value] of Object.entries(req.headers)) upstream.push([name, String(value)]);
    for (const [name, all] of Object.entries(req.headersDistinct)) for (const value of all ?? []) upstream.push([name, value]);
    for (let i = 0; i < req.rawHeaders.length; i += 2) upstream.push([req.rawHeaders[i]!, req.rawHeaders[i + 1]!]);
  });
  return done(seen, upstream, res.statusCode, Object.entries(res.getHeaders()).map(([n, v]) => [n, String(v)]));
}

/** An event as CloudFront makes one. */
export function event(type: string, address: string | null, sent: Sent): CloudFrontEvent {
  const headers: CloudFrontRequest["headers"] = { host: [{ key: "Host", value: "example.org" }] };
  // Connection is not exposed to functions.
  for (const [key, value] of sent.headers ?? []) if (key.toLowerCase() !== "connection") (headers[key.toLowerCase()] ??= []).push({ key, value });
  const [uri = "/", ...query] = (sent.path ?? "/").split("?");
  const request = { clientIp: address as string, method: sent.method ?? "GET", uri, querystring: query.join("?"), headers };
  return { Records: [{ cf: { config: { eventType: type }, request } }] };
}

function lambda(type: string): Rig {
  return {
    name: `Lambda@Edge ${type}`, own: [], raw: true,
    async send(address, sent) {
      const { gate, seen } = gateOf(sent);
      const answer = await lambdaEdge(gate)(event(type, address, sent));
      const flat = Object.entries(answer.headers).flatMap(([name, all]) => all.map((l): HeaderLine => [name, l.value]));
      if ("uri" in answer) return done(seen, flat, 200, []);
      return done(seen, undefined, Number((answer as CloudFrontAnswer).status), flat);
    },
  };
}

interface World {
  now: number;
  keys: Record<string, string>;
}
const functions = new Map<string, { world: World; handler: (event: object) => Promise<any> }>();

/** The handler of a function, in a context that has no more than its runtime. One is made of each code: contexts are dear. */
function functionOf(code: string): { world: World; handler: (event: object) => Promise<any> } {
  const known = functions.get(code);
  if (known) return known;
  const world: World = { now: 0, keys: {} };
  const kvs = { get: async (name: string) => world.keys[name] ?? Promise.reject(new Error("no such key")) };
  class Clock extends Date {
    static override now() {
      return world.now;
    }
  }
  const handler = runInNewContext(code + "handler", { Buffer, Date: Clock, cf: { kvs: () => kvs }, require: () => ({ createHash, createHmac }) });
  functions.set(code, { world, handler });
  return { world, handler };
}

/** What `ipwarden edge function` is told. */
export interface FunctionRules {
  allow?: string[];
  block?: string[];
  blockCountry?: string[];
  challenge?: string[];
  secret?: string;
  risk?: number;
}

const codes = new Map<string, string>();

/** The code of a function, as the command writes it. */
export function codeOf(rules: FunctionRules): string {
  const args = Object.entries(rules).flatMap(([name, value]) => [`--${name.replace("C", "-c")}=${String(value)}`]);
  const known = codes.get(args.join(" "));
  if (known !== undefined) return known;
  const code = execFileSync(resolve(process.env["IPWARDEN_BIN"] ?? "../../bin/ipwarden"), ["edge", "function", ...args], { encoding: "utf8" });
  codes.set(args.join(" "), code);
  return code;
}

/** What a function for CloudFront answers. */
export async function runFunction(rules: FunctionRules, address: string | null, sent: Sent, keys: Record<string, string> = {}, now = Date.now()): Promise<{ answer: any; request: any }> {
  const code = codeOf(rules).replace(/^import cf from 'cloudfront';/, "");
  const headers: Record<string, { value: string; multiValue?: { value: string }[] }> = { host: { value: "example.org" } };
  const cookies: Record<string, { value: string; multiValue?: { value: string }[] }> = {};
  for (const [name, value] of sent.headers ?? []) {
    if (name.toLowerCase() === "cookie") {
      for (const pair of value.split("; ")) {
        const [n = "", ...v] = pair.split("=");
        const c = (cookies[n] ??= { value: v.join("="), multiValue: [] });
        c.multiValue?.push({ value: v.join("=") });
      }
      continue;
    }
    if (name.toLowerCase() === "connection") continue; // not exposed to functions
    const h = (headers[name.toLowerCase()] ??= { value, multiValue: [] });
    h.multiValue?.push({ value });
  }
  const [uri = "/", query = ""] = (sent.path ?? "/").split("?");
  const querystring: Record<string, { value: string }> = {};
  for (const pair of query.split("&").filter(Boolean)) {
    const [n = "", v = ""] = pair.split("=");
    querystring[n] = { value: v };
  }
  const request = { method: sent.method ?? "GET", uri, querystring, headers, cookies };
  const made = functionOf(code);
  made.world.now = now;
  made.world.keys = keys;
  const answer = await made.handler({ version: "1.0", context: { eventType: "viewer-request", requestId: "EXAMPLE" + now }, viewer: { ip: address ?? "" }, request });
  return { answer, request };
}

const cloudFront: Rig = {
  name: "CloudFront Functions", own: ["cloudfront-viewer-country"], raw: true,
  async send(address, sent) {
    // What it blocks is the address of whoever may not be told apart from another.
    const { answer } = await runFunction({ block: ["198.51.100.20"], blockCountry: ["KP"] }, address, sent);
    const flat = Object.entries<{ value: string; multiValue?: { value: string }[] }>(answer.headers)
      .flatMap(([name, l]) => [[name, l.value], ...(l.multiValue ?? []).map((m) => [name, m.value])] as HeaderLine[]);
    if (answer.statusCode) return { address: canonical(address), status: answer.statusCode, reply: flat };
    return { address: canonical(answer.headers["x-ipwarden-ip"]?.value), upstream: flat, status: 200, reply: [] };
  },
};

export const rigs: Rig[] = [
  {
    name: "Cloudflare Workers", own: ["cf-connecting-ip", "cf-connecting-ipv6"], raw: false,
    async send(address, sent) {
      const { gate, seen } = gateOf(sent);
      let upstream: HeaderLine[] | undefined;
      const next = (r: Request) => ((upstream = lines(r.headers)), new Response("app"));
      // The adapter makes its own gate: the decider is what remembers.
      const worker = cloudflare.protect({ next, fail: "closed", ...sent.gate, decider: { decide: async (facts) => ((seen.facts = facts), (await gate.check(facts, { waitUntil() {} })).verdict) } });
      const answer = await worker.fetch(request(sent, ...(address === null ? [] : [["CF-Connecting-IP", address] as HeaderLine])), {}, { waitUntil() {} });
      return done(seen, upstream, answer.status, lines(answer.headers));
    },
  },
  {
    name: "Vercel and Next.js", own: ["x-vercel-forwarded-for"], raw: false,
    async send(address, sent) {
      const { gate, seen } = gateOf(sent);
      const answer = await middleware(gate)(request(sent, ...(address === null ? [] : [["x-vercel-forwarded-for", address] as HeaderLine])));
      const { upstream, reply } = ofNext(answer);
      return done(seen, upstream, answer.status, reply);
    },
  },
  fetched("Deno", deno, (hostname) => ({ remoteAddr: hostname === null ? { transport: "unix", path: "/run/x" } : { transport: "tcp", hostname, port: 4711 } })),
  fetched("Bun", bun, (address) => ({ requestIP: () => (address === null ? null : { address, family: "IPv4", port: 4711 }) })),
  fetched("Node", node, (remoteAddress) => ({ incoming: { socket: { remoteAddress: remoteAddress ?? undefined } } })),
  {
    name: "Hono", own: [], raw: false,
    async send(address, sent) {
      const { gate, seen } = gateOf(sent);
      const reply = new Headers();
      const c = { req: { raw: request(sent) }, env: { incoming: { socket: { remoteAddress: address ?? undefined } } }, header: (n: string, v: string) => reply.set(n, v) };
      let upstream: HeaderLine[] | undefined;
      const answer = await hono(gate, { peer: node })(c, async () => void (upstream = lines(c.req.raw.headers)));
      return done(seen, upstream, answer?.status ?? 200, answer ? lines(answer.headers) : lines(reply));
    },
  },
  { name: "Express", own: [], raw: true, send: connect },
  lambda("viewer-request"),
  lambda("origin-request"),
  cloudFront,
];

