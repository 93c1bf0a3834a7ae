// What does not end at once goes through: a WebSocket, and an answer that comes in parts,
// behind a Worker in workerd and behind the handler of Deno and Bun, with a real ipwarden.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { Ipwarden, patience, token, worker } from "./world.js";

const dir = mkdtempSync(join(tmpdir(), "ipwarden-streams-"));
const ends: (() => unknown)[] = [];
let ipwarden: Ipwarden;

before(async () => {
  ipwarden = await Ipwarden.start(`version: 1
rules:
  - {name: nobody, when: ip.security.is_bogon && !(ip in lists.here), action: block}
  - {name: vpn, when: ip.security.is_vpn, action: block}
lists: {here: {networks: [127.0.0.0/8]}}
`);
});
after(async () => {
  for (const end of ends.reverse()) await end();
  await ipwarden?.end();
  rmSync(dir, { recursive: true, force: true });
});

/** A short text as one frame (RFC 6455 section 5.2); a client's are masked. */
function frame(text: string, mask: boolean): Buffer {
  const key = Buffer.from([1, 2, 3, 4]), body = Buffer.from(text);
  if (!mask) return Buffer.concat([Buffer.from([0x81, body.length]), body]);
  return Buffer.concat([Buffer.from([0x81, 0x80 | body.length]), key, body.map((b, i) => b ^ key[i & 3]!)]);
}

/** The texts of the frames of a socket, one by one. */
async function* texts(socket: Socket, head: Buffer): AsyncGenerator<string> {
  let rest = head;
  const parts = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (;;) {
    while (rest.length < 2 || rest.length < 2 + (rest[1]! & 127) + (rest[1]! & 128 ? 4 : 0)) {
      const next = await parts.next();
      if (next.done) return;
      rest = Buffer.concat([rest, next.value]);
    }
    const masked = (rest[1]! & 128) !== 0, from = masked ? 6 : 2, to = from + (rest[1]! & 127);
    const key = rest.subarray(2, 6);
    if ((rest[0]! & 15) === 1) yield rest.subarray(from, to).map((b, i) => (masked ? b ^ key[i & 3]! : b)).toString();
    rest = rest.subarray(to);
  }
}

/** Opens a WebSocket at a server, and says what it was answered, or how it was refused. */
async function talk(...args: Parameters<typeof talkOnce>): Promise<string[] | number> {
  for (const end = Date.now() + patience; ; ) {
    const got = await talkOnce(...args);
    if (got !== 503 || Date.now() > end) return got;
    await new Promise((ok) => setTimeout(ok, 100)); // a busy machine decided too late, and a breaker may be open
  }
}

async function talkOnce(url: string, headers: Record<string, string>, ...say: string[]): Promise<string[] | number> {
  const { hostname, port } = new URL(url);
  const req = http.request({
    host: hostname, port, path: "/socket", agent: false, timeout: patience,
    headers: { host: "www.example.org", connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": Buffer.alloc(16, 7).toString("base64"), ...headers },
  }).end();
  const got = await new Promise<number | [Socket, Buffer]>((ok, no) => req.on("upgrade", (_, socket, head) => ok([socket as Socket, head])).on("response", (r) => (r.resume(), ok(r.statusCode!))).on("error", no));
  if (typeof got === "number") return got;
  const [socket, head] = got;
  socket.setTimeout(patience, () => socket.destroy(new Error("nothing comes")));
  const heard: string[] = [];
  const all = texts(socket, head);
  for (const text of say) {
    socket.write(frame(text, true));
    heard.push((await all.next()).value as string);
  }
  socket.destroy();
  return heard;
}

/** Reads an answer that the other side ends only when its first part was read. */
async function stream(url: string, headers: Record<string, string>): Promise<string[]> {
  const { hostname, port } = new URL(url);
  const ask = (path: string) => new Promise<http.IncomingMessage>((ok, no) => http.get({ host: hostname, port, path, headers: { host: "www.example.org", ...headers }, agent: false, timeout: patience }, ok).on("error", no));
  let res = await ask("/stream");
  for (const end = Date.now() + patience; res.statusCode === 503 && Date.now() < end; res = await ask("/stream")) {
    res.resume();
    await new Promise((ok) => setTimeout(ok, 100));
  }
  const got: string[] = [];
  for await (const part of res) {
    got.push(String(part));
    if (got.length === 1) (await ask("/go")).resume();
  }
  return got;
}

test("behind a Worker", async () => {
  const seen: http.IncomingHttpHeaders[] = [];
  let go = () => {};
  const origin = http.createServer((req, res) => {
    if (req.url === "/go") {
      go();
      res.end();
      return;
    }
    seen.push(req.headers);
    res.writeHead(200, { "content-type": "text/event-stream", "x-accel-buffering": "no" });
    res.write("data: first\n\n");
    go = () => res.end("data: last\n\n");
  });
  origin.on("upgrade", (req, socket, head) => void (async () => {
    seen.push(req.headers);
    socket.on("error", () => {});
    const accept = createHash("sha1").update(req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    for await (const text of texts(socket as Socket, head)) socket.write(frame("heard " + text, false));
  })().catch(() => {}));
  origin.listen(0, "127.0.0.1");
  await once(origin, "listening");
  ends.push(() => (origin.close(), origin.closeAllConnections()));
  const mf = await worker(`import { protect } from "../src/cloudflare"; export default protect({ budget: 10000, fail: "closed" });`, {
    bindings: { IPWARDEN_URL: ipwarden.url, IPWARDEN_TOKEN: token, IPWARDEN_ORIGIN: `http://127.0.0.1:${(origin.address() as AddressInfo).port}` },
  });
  ends.push(() => mf.dispose());
  const url = (await mf.ready).href;
  const from = (address: string) => ({ "CF-Connecting-IP": address, "X-Ipwarden-Verdict": "forged" });
  assert.deepEqual(await talk(url, from("8.8.8.8"), "one", "two"), ["heard one", "heard two"]);
  assert.deepEqual([seen[0]!["x-ipwarden-verdict"], seen[0]!["x-ipwarden-ip"]], ["allow", "8.8.8.8"]);
  assert.equal(await talk(url, from("203.0.113.9"), "one"), 403);
  assert.equal(seen.length, 1, "the origin did not hear of it");
  assert.equal((await stream(url, from("8.8.8.8"))).join(""), "data: first\n\ndata: last\n\n");
  assert.equal(seen[1]!["x-ipwarden-verdict"], "allow");
});

/** The program of an npm package. */
function binary(scope: string, ...path: string[]): string | undefined {
  const root = join("node_modules", scope);
  return existsSync(root) ? readdirSync(root).map((d) => resolve(root, d, ...path)).find((p) => existsSync(p)) : undefined;
}

for (const [name, program, args, source] of [
  ["Deno", binary("@deno", "deno"), ["run", "--no-config", "--no-lock", "--no-remote", "--no-npm", "--allow-env=URL,TOKEN", "--allow-net=127.0.0.1"], `
    const upgrade = (original) => {
      const { socket, response } = Deno.upgradeWebSocket(original);
      socket.onmessage = (m) => socket.send("heard " + m.data);
      return response;
    };
    const handler = protect(gate(Deno.env.get("URL"), Deno.env.get("TOKEN")), app((_, original) => upgrade(original)), { peer: deno, proxies });
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log("listens at " + port) }, handler);`],
  ["Bun", binary("@oven", "bin", "bun"), [], `
    const handler = protect(gate(process.env.URL, process.env.TOKEN), app((server, original) => void server.upgrade(original)), { peer: bun, proxies });
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 0, fetch: handler, websocket: { message: (socket, text) => void socket.send("heard " + text) } });
    console.log("listens at " + server.port);`],
] as const) {
  test(`behind the handler of ${name}`, async (t) => {
    if (!program) return t.skip(`the npm package has no program for this machine`);
    const file = join(dir, `${name}.mjs`);
    await build({
      stdin: {
        contents: `
          import { Gate } from "../src/gate"; import { Remote } from "../src/remote"; import { Proxies } from "../src/proxies"; import { bun, deno, protect } from "../src/fetch";
          const gate = (url, token) => new Gate({ decider: new Remote({ url, token }), budget: 10000, fail: "closed" });
          const proxies = new Proxies({ trusted: ["127.0.0.1"] });
          let go = () => {};
          const app = (upgrade) => (request, platform, original) => {
            const { pathname } = new URL(request.url);
            if (request.headers.get("x-ipwarden-verdict") !== "allow") return new Response("not asked", { status: 500 });
            if (pathname === "/socket") return upgrade(platform, original);
            if (pathname === "/go") return go(), new Response();
            const text = new TextEncoder();
            return new Response(new ReadableStream({ start(out) {
              out.enqueue(text.encode("data: first\\n\\n"));
              go = () => { out.enqueue(text.encode("data: last\\n\\n")); out.close(); };
            } }));
          };` + source, resolveDir: resolve("test"), loader: "js",
      }, outfile: file, bundle: true, format: "esm", target: "es2022", logLevel: "warning",
    });
    const child = spawn(program, [...args, file], { cwd: dir, stdio: ["ignore", "pipe", "inherit"], env: { PATH: process.env["PATH"] ?? "", HOME: dir, URL: ipwarden.url, TOKEN: token, DENO_NO_UPDATE_CHECK: "1", DENO_DIR: join(dir, "deno"), NO_COLOR: "1" } });
    ends.push(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    });
    let said = "";
    for await (const part of child.stdout!.iterator({ destroyOnReturn: false })) if (/listens at \d+\n/.test((said += String(part)))) break;
    child.stdout!.resume();
    const url = `http://127.0.0.1:${/listens at (\d+)/.exec(said)?.[1]}`;
    const from = (address: string) => ({ "X-Forwarded-For": address, "X-Ipwarden-Verdict": "forged" });
    assert.deepEqual(await talk(url, from("8.8.8.8"), "one", "two"), ["heard one", "heard two"]);
    assert.equal(await talk(url, from("203.0.113.9"), "one"), 403);
    assert.equal((await stream(url, from("8.8.8.8"))).join(""), "data: first\n\ndata: last\n\n");
  });
}
