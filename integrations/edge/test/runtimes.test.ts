// The adapters on the real things: Deno, Bun, Node with Express and Hono, and the runtime
// of Vercel's middleware, each before an application, with a real ipwarden to ask.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { EdgeRuntime, runServer } from "edge-runtime";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { express } from "../src/express.js";
import { node } from "../src/fetch.js";
import { bare, Gate } from "../src/gate.js";
import { hono } from "../src/hono.js";
import { Proxies } from "../src/proxies.js";
import { Remote } from "../src/remote.js";
import { Ipwarden, patience, token } from "./world.js";

const policy = `version: 1
rules:
  - {name: nobody, when: ip.security.is_bogon, action: block}
  - {name: vpn, when: ip.security.is_vpn, action: block}
limits:
  - {name: everybody, rate: 1000/min}
`;

const dir = mkdtempSync(join(tmpdir(), "ipwarden-runtimes-"));
const ends: (() => unknown)[] = [];
let ipwarden: Ipwarden;

before(async () => {
  ipwarden = await Ipwarden.start(policy);
});
after(async () => {
  for (const end of ends.reverse()) await end();
  await ipwarden?.end();
  rmSync(dir, { recursive: true, force: true });
});

interface Got {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
  seen?: { method: string; path: string; headers: Record<string, string>; body: string };
}

/** Sends a request that is to be decided, again while that comes too late: the machine may be busy. */
async function send(...args: Parameters<typeof sendOnce>): Promise<Got> {
  for (const end = Date.now() + patience; ; ) {
    const got = await sendOnce(...args);
    if (got.status !== 503 || Date.now() > end) return got;
    await new Promise((ok) => setTimeout(ok, 100)); // a breaker may be open
  }
}

/** Sends a request from an address of this machine. */
async function sendOnce(url: string, headers: Record<string, string | string[]>, more: { path?: string; method?: string; body?: string; from?: string } = {}): Promise<Got> {
  const { hostname, port } = new URL(url);
  const res = await new Promise<http.IncomingMessage>((ok, no) => {
    http.request({ host: hostname, port, path: more.path ?? "/", method: more.method ?? "GET", headers: { host: "www.example.org", ...headers }, localAddress: more.from ?? "127.0.0.1", agent: false, timeout: patience }, ok)
      .on("error", no).end(more.body);
  });
  let body = "";
  for await (const part of res) body += String(part);
  const got: Got = { status: res.statusCode!, headers: res.headers, body };
  if (res.headers["x-app"]) got.seen = JSON.parse(body) as NonNullable<Got["seen"]>;
  return got;
}

/** What holds for a server whose proxies are 127.0.0.1 alone. */
async function isProtected(url: string) {
  const forged = { "X-Ipwarden-Verdict": "forged", X_IPWARDEN_RISK: "forged", "X-Middleware-Subrequest": "middleware:middleware", "X-Real-IP": "198.51.100.20", "CF-Connecting-IP": "198.51.100.20" };
  const passes = await send(url, { ...forged, "X-Forwarded-For": ["203.0.113.9", "198.51.100.7"], "X-Other": "stays" }, { path: "/a%20b?c=d", method: "POST", body: "text" });
  assert.equal(passes.status, 200, passes.body);
  assert.equal(passes.seen!.method, "POST");
  assert.equal(passes.seen!.path, "/a%20b?c=d");
  assert.equal(passes.seen!.body, "text", "the body goes on");
  const h = passes.seen!.headers;
  assert.deepEqual([h["x-ipwarden-verdict"], h["x-ipwarden-ip"], h["x-ipwarden-country"], h["x_ipwarden_risk"], h["x-middleware-subrequest"], h["x-other"]],
    ["allow", "198.51.100.7", "SE", undefined, undefined, "stays"]);
  assert.match(String(passes.headers["ratelimit-policy"]), /"everybody";q=1000;w=60/);
  assert.equal(passes.headers["x-app"], "1");

  const vpn = await send(url, { ...forged, "X-Forwarded-For": "198.51.100.7, 203.0.113.9", Accept: "text/html" });
  assert.equal(vpn.status, 403);
  assert.match(vpn.body, /<h1>Not allowed<\/h1>/);
  assert.equal((await send(url, { "X-Forwarded-For": "203.0.113.9" }, { method: "HEAD" })).body, "");

  // Who comes by itself chooses no address.
  const direct = await send(url, { ...forged, "X-Forwarded-For": "198.51.100.7" }, { from: "127.0.0.2" });
  assert.equal(direct.status, 403, direct.body);
  // From a proxy without a word of the client, or with junk, the route decides: closed.
  for (const headers of [{}, { "X-Forwarded-For": "198.51.100.7, junk" }, { "X-Forwarded-For": "" }]) {
    assert.equal((await sendOnce(url, headers)).status, 503, JSON.stringify(headers));
  }
}

/** The gate of all these servers. */
const gateOf = () => new Gate({ decider: new Remote({ url: ipwarden.url, token }), budget: 10000, fail: "closed" });
const proxies = () => new Proxies({ trusted: ["127.0.0.1"] });

async function listen(handler: http.RequestListener): Promise<string> {
  const server = http.createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  ends.push(() => (server.close(), server.closeAllConnections()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A program of another runtime, which prints the port that it listens at. */
async function started(program: string, args: string[], env: Record<string, string>): Promise<string> {
  const child: ChildProcess = spawn(program, args, { cwd: dir, stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env["PATH"] ?? "", HOME: dir, ...env } });
  ends.push(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  let said = "";
  return new Promise((ok, no) => {
    const timer = setTimeout(() => no(new Error(`${program} did not listen within ${4 * patience} ms: ${said}`)), 4 * patience);
    const hear = (b: Buffer) => {
      said += b.toString();
      const port = /listens at (\d+)\n/.exec(said)?.[1];
      if (port) (clearTimeout(timer), ok(`http://127.0.0.1:${port}`));
    };
    child.stdout!.on("data", hear);
    child.stderr!.on("data", hear);
    child.on("exit", (code) => (clearTimeout(timer), no(new Error(`${program} ended with ${code}: ${said}`))));
    child.on("error", no);
  });
}

/** The program of an npm package whose own start script, which install scripts make, is not there. */
function binary(scope: string, ...path: string[]): string | undefined {
  const root = join("node_modules", scope);
  if (!existsSync(root)) return undefined;
  return readdirSync(root).map((d) => resolve(root, d, ...path)).find((p) => existsSync(p));
}

/** The application, for runtimes that speak Fetch. */
const app = `
  import { Gate } from "../src/gate";
  import { Remote } from "../src/remote";
  import { Proxies } from "../src/proxies";
  import { bun, deno, protect } from "../src/fetch";
  const gate = (url: string, token: string) => new Gate({ decider: new Remote({ url, token }), budget: 10000, fail: "closed" });
  const proxies = new Proxies({ trusted: ["127.0.0.1"] });
  async function app(request: Request) {
    const at = new URL(request.url);
    return Response.json({ method: request.method, path: at.pathname + at.search, headers: Object.fromEntries(request.headers), body: await request.text() }, { headers: { "x-app": "1" } });
  }
`;

async function bundled(name: string, source: string): Promise<string> {
  const file = join(dir, name);
  await build({ stdin: { contents: app + source, resolveDir: resolve("test"), loader: "ts" }, outfile: file, bundle: true, format: "esm", target: "es2022", logLevel: "warning" });
  return file;
}

test("Deno", async (t) => {
  const program = binary("@deno", "deno");
  if (!program) return t.skip("the npm package deno has no program for this machine");
  const file = await bundled("deno.mjs", `
    const handler = protect(gate(Deno.env.get("URL"), Deno.env.get("TOKEN")), app, { peer: deno, proxies });
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log("listens at " + port) }, handler);
  `);
  await isProtected(await started(program, ["run", "--no-config", "--no-lock", "--no-remote", "--no-npm", "--allow-env=URL,TOKEN", "--allow-net=127.0.0.1", file],
    { URL: ipwarden.url, TOKEN: token, DENO_NO_UPDATE_CHECK: "1", DENO_DIR: join(dir, "deno"), NO_COLOR: "1" }));
});

test("Bun", async (t) => {
  const program = binary("@oven", "bin", "bun");
  if (!program) return t.skip("the npm package bun has no program for this machine");
  const file = await bundled("bun.mjs", `
    const handler = protect(gate(process.env.URL, process.env.TOKEN), app, { peer: bun, proxies });
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: handler });
    console.log("listens at " + server.port);
  `);
  await isProtected(await started(program, ["run", "--no-install", file], { URL: ipwarden.url, TOKEN: token, DO_NOT_TRACK: "1" }));
});

test("Hono on Node", async () => {
  const app = new Hono();
  app.use(hono(gateOf(), { peer: node, proxies: proxies() }));
  app.all("*", async (c) => {
    const at = new URL(c.req.url);
    c.header("x-app", "1");
    return c.json({ method: c.req.method, path: at.pathname + at.search, headers: c.req.header(), body: await c.req.text() });
  });
  await isProtected(await listen(getRequestListener(app.fetch)));
});

// The types of Express are another package, which nothing here needs.
const expressModule = createRequire(resolve("package.json"))("express") as (() => any) & { text(o: object): any };

test("Express", async () => {
  const app = expressModule();
  app.set("trust proxy", true); // is not asked
  app.use(express(gateOf(), { proxies: proxies() }));
  app.use(expressModule.text({ type: () => true }));
  app.use((req: any, res: any) => {
    res.set("x-app", "1").json({ method: req.method, path: req.originalUrl, headers: req.headers, body: req.body ?? "" });
  });
  const url = await listen(app);
  await isProtected(url);
  // F6: of an absolute target the path is judged that Express routes, and the Host that it reads.
  const absolute = await send(url, { "X-Forwarded-For": "198.51.100.7" }, { path: "http://evil.example/admin?x" });
  assert.equal(absolute.status, 200);
});

test("Express, what is judged is what is routed", async () => {
  const judged: string[] = [];
  const routed: string[] = [];
  const gate = gateOf();
  const check = gate.check.bind(gate);
  gate.check = async (facts, context) => {
    const outcome = await check(facts, context);
    if (outcome.pass) judged.push(`${facts.method} ${facts.host} ${facts.path.split("?")[0]}`);
    return outcome;
  };
  const app = expressModule();
  app.use(express(gate, { proxies: proxies() }));
  app.use((req: any, res: any) => (routed.push(`${req.method} ${req.hostname} ${req.path}`), res.end()));
  const url = await listen(app);
  for (const path of ["/", "/a/../b", "/a//b", "//evil.example/x", "/%61", "/a;b?c", "http://evil.example/admin?x", "HTTP://evil.example", "/x?http://a/b"]) {
    await send(url, { "X-Forwarded-For": "198.51.100.7" }, { path });
  }
  // Of these parsers do not agree where the host ends.
  for (const path of ["http://evil;/admin?x", "http://evil'/admin", "http://evil%2fadmin/x", "http://evil%0a/admin?#"]) {
    await send(url, { "X-Forwarded-For": "198.51.100.7" }, { path });
  }
  for (const host of ["www.example.org:x", "WWW.example.org:", "www.example.org:80:x", "[2001:db8::1]:80", "[2001:db8::1]:x", "a@www.example.org:80", "www.example.org:80@b"]) {
    await send(url, { "X-Forwarded-For": "198.51.100.7", host });
  }
  assert.ok(judged.length >= 19, judged.join());
  assert.deepEqual(judged, routed.map((r) => r.replace("WWW", "www")));
});

test("HTTP/2 of Node, where a request may bring two hosts", async () => {
  let judged = "";
  const guard = express(new Gate({ decider: { decide: ({ host, path }) => ((judged = host), path === "/admin" ? bare("block", 403, "rule") : bare("allow", 0, "default")) } }));
  const server = http2.createServer((req, res) => void guard(req as never, res as never, () => res.end(JSON.stringify({ headers: req.headers, raw: req.rawHeaders, authority: req.authority }))));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    const ask = async (headers: http2.OutgoingHttpHeaders) => {
      const request = client.request(headers);
      let status = 0, body = "";
      request.on("response", (h) => (status = h[":status"]!));
      for await (const part of request.setEncoding("utf8")) body += part;
      return { status, body };
    };
    const got = await ask({ ":authority": "www.example.org", ":path": "/a", host: "admin.example.org", "x-ipwarden-verdict": "forged", "x_ipwarden_ip": "forged" });
    assert.equal(got.status, 200);
    const seen = JSON.parse(got.body) as { headers: Record<string, string>; raw: string[]; authority: string };
    assert.equal(judged, "www.example.org");
    assert.equal(seen.headers["host"], "www.example.org");
    assert.equal(seen.authority, "www.example.org");
    assert.equal(seen.headers["x-ipwarden-verdict"], "allow");
    assert.ok(!got.body.includes("admin.example.org") && !got.body.includes("forged"), got.body);
    assert.equal((await ask({ ":authority": "www.example.org", ":path": "/admin" })).status, 403);
  } finally {
    client.close();
    server.close();
  }
});

test("the runtime of Vercel's middleware", async () => {
  const made = await build({
    stdin: {
      contents: `
        import { Gate } from "../src/gate"; import { Remote } from "../src/remote"; import { middleware } from "../src/vercel";
        const run = middleware(new Gate({ decider: new Remote({ url: ${JSON.stringify(ipwarden.url)}, token: ${JSON.stringify(token)} }), budget: 10000, fail: "closed" }));
        addEventListener("fetch", (event: any) => event.respondWith(run(event.request, event)));`,
      resolveDir: resolve("test"), loader: "ts",
    }, bundle: true, write: false, format: "iife", target: "es2022", logLevel: "warning",
  });
  const server = await runServer({ runtime: new EdgeRuntime({ initialCode: made.outputFiles[0]!.text }), host: "127.0.0.1", port: 0 });
  ends.push(() => server.close());
  const get = (headers: Record<string, string>) => send(server.url, headers, { path: "/a?b=c" });

  // F8: CVE-2025-29927. Ours is a function that runs whatever that header says, and it does not go on.
  const passes = await get({
    "x-vercel-forwarded-for": "198.51.100.7", "x-forwarded-for": "203.0.113.9", "x-real-ip": "203.0.113.9", "X-Ipwarden-Risk": "forged", "X-Other": "stays",
    "x-middleware-subrequest": "middleware:middleware:middleware:middleware:middleware",
  });
  assert.equal(passes.status, 200);
  assert.equal(passes.headers["x-middleware-next"], "1");
  const names = String(passes.headers["x-middleware-override-headers"]).split(",");
  assert.ok(names.includes("x-other") && names.includes("x-ipwarden-verdict") && names.includes("host"), names.join());
  assert.ok(!names.includes("x-middleware-subrequest"), names.join());
  for (const name of names) assert.notEqual(passes.headers["x-middleware-request-" + name], undefined, name);
  const said = (name: string) => passes.headers["x-middleware-request-" + name];
  assert.deepEqual([said("x-ipwarden-verdict"), said("x-ipwarden-ip"), said("x-ipwarden-country"), said("x-other")], ["allow", "198.51.100.7", "SE", "stays"]);
  assert.notEqual(said("x-ipwarden-risk"), "forged");

  assert.equal((await get({ "x-vercel-forwarded-for": "203.0.113.9", "x-forwarded-for": "198.51.100.7" })).status, 403);
  for (const headers of [{ "x-forwarded-for": "198.51.100.7", "x-real-ip": "198.51.100.7" }, { "x-vercel-forwarded-for": "198.51.100.7, 203.0.113.9" }, { "x-vercel-forwarded-for": "" }]) {
    assert.equal((await sendOnce(server.url, headers as Record<string, string>)).status, 503, JSON.stringify(headers));
  }
});
