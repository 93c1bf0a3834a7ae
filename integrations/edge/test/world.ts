// What the tests stand in: the real ipwarden, an origin that says what it saw, and
// Workers in the real workerd.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { Miniflare, type MiniflareOptions } from "miniflare";

/** How long anything may take on a busy machine, milliseconds. */
export const patience = 120_000;

export const token = "a-token-of-the-tests-that-nobody-guesses";

/** What the addresses of the tests are. */
export const overlay = `entries:
  - {network: 198.51.100.0/24, facts: {security.is_bogon: false, location.country_code: SE}, reason: test, owner: test}
  - {network: 203.0.113.0/24, facts: {security.is_bogon: false, security.is_vpn: true, location.country_code: NO}, reason: test, owner: test}
  - {network: "2001:db8::/32", facts: {security.is_bogon: false, location.country_code: DK}, reason: test, owner: test}
`;

/** Waits until something is so. */
export async function eventually(what: string, is: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + patience; ; ) {
    if (await is()) return;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience} ms`);
    await new Promise((ok) => setTimeout(ok, 10));
  }
}

// Ports that nobody else takes, from whoever starts the tests.
const ports = (process.env["IPWARDEN_TEST_PORTS"] ?? "").split(",").filter(Boolean).map(Number);

export async function port(): Promise<number> {
  const p = ports.shift();
  if (p) return p;
  const s = http.createServer().listen(0, "127.0.0.1");
  await once(s, "listening");
  const { port } = s.address() as AddressInfo;
  s.close();
  return port;
}

const rebuild = "If it is older than these sources, or missing, build it: make build, in the repository (or say where it is in IPWARDEN_BIN)";

/** A real ipwarden that serves a policy. */
export class Ipwarden {
  readonly url: string;
  #child: ChildProcess | undefined;
  readonly #dir = mkdtempSync(join(tmpdir(), "ipwarden-edge-"));
  #said = "";

  private constructor(readonly port: number, policy: string, readonly args: string[]) {
    this.url = `http://127.0.0.1:${port}`;
    writeFileSync(join(this.#dir, "policy.yaml"), policy);
    writeFileSync(join(this.#dir, "world.yaml"), overlay);
    writeFileSync(join(this.#dir, "token"), token + "\n");
  }

  static async start(policy: string, ...args: string[]): Promise<Ipwarden> {
    const w = new Ipwarden(await port(), policy, args);
    await w.start();
    return w;
  }

  /** Starts it, again perhaps, at the same address. */
  async start(): Promise<void> {
    const program = resolve(process.env["IPWARDEN_BIN"] ?? "../../bin/ipwarden");
    const child = spawn(program, ["serve", "--listen", `127.0.0.1:${this.port}`, "--policy", "policy.yaml", "--overlay", "world.yaml",
      "--service-token-file", "token", "--data-dir", "none", ...this.args], { cwd: this.#dir, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    let failed: Error | undefined;
    child.on("error", (e) => { failed = e; });
    const hear = (b: Buffer) => { this.#said = (this.#said + b.toString()).slice(-4000); };
    child.stdout!.on("data", hear);
    child.stderr!.on("data", hear);
    await eventually(`${program} answers`, async () => {
      if (failed || child.exitCode !== null) throw new Error(`${program} has ended: ${failed ?? this.#said}\n${rebuild}`);
      return fetch(`${this.url}/readyz`).then((r) => r.ok, () => false);
    });
  }

  /** Makes it hold its breath, or go on: SIGSTOP, SIGCONT. */
  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async end(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** What the origin saw of a request. */
export interface Seen {
  method: string;
  url: string;
  headers: Record<string, string>;
}

/** An origin that answers each request with what it saw of it. */
export class Origin {
  hits = 0;
  private constructor(readonly server: http.Server, readonly url: string) {}

  static async start(): Promise<Origin> {
    const server = http.createServer((req, res) => {
      origin.hits++;
      req.resume();
      res.setHeader("content-type", "application/json");
      res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers } satisfies Partial<Record<keyof Seen, unknown>>));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const origin = new Origin(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return origin;
  }

  end(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** A Worker of some source, which may import from ../src, in workerd. */
export async function worker(source: string, options: Partial<MiniflareOptions> = {}): Promise<Miniflare> {
  const made = await build({
    stdin: { contents: source, resolveDir: resolve("test"), loader: "ts" }, bundle: true, write: false, format: "esm", target: "es2022", external: ["cloudflare:*"], logLevel: "warning",
  });
  const mf = new Miniflare({
    modules: true, script: made.outputFiles[0]!.text, host: "127.0.0.1", port: 0, compatibilityDate: "2026-04-01", cf: false, telemetry: { enabled: false },
    ...options,
  } as MiniflareOptions);
  await mf.ready;
  return mf;
}

/** An answer, whole. */
export interface Got {
  status: number;
  headers: Headers;
  body: string;
  /** What the origin saw; absent: it was not asked. */
  seen?: Seen;
}

/** Sends a request to a Worker as Cloudflare does: with the client's address. */
export async function get(mf: Miniflare, path: string, headers: Record<string, string>, method = "GET"): Promise<Got> {
  const url = new URL(await mf.ready);
  const res = await new Promise<http.IncomingMessage>((ok, no) => {
    // node:http sends names as they are written.
    http.request({ host: url.hostname, port: url.port, path, method, headers: { host: "www.example.org", ...headers }, agent: false, timeout: patience }, ok).on("error", no).end();
  });
  let body = "";
  for await (const part of res) body += String(part);
  const got: Got = { status: res.statusCode!, headers: new Headers(res.headers as Record<string, string>), body };
  if (res.headers["content-type"] === "application/json") got.seen = JSON.parse(body) as Seen;
  return got;
}
