// docs/edge.md, from nothing to a protected Worker: its files and its commands.
import assert from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { eventually, port } from "./world.js";

const guide = readFileSync(process.env["IPWARDEN_GUIDE"] ?? "../../docs/edge.md", "utf8");

/** The indented blocks of the page. */
const blocks = [...guide.matchAll(/(?:^(?: {4}.*)?\n)*^ {4}.*\n/gm)].map((m) => m[0].replace(/^ {4}/gm, "").trim() + "\n");

/** The only one that has a text. */
function block(text: string): string {
  const all = blocks.filter((b) => b.includes(text));
  assert.equal(all.length, 1, `${all.length} blocks have ${text}`);
  return all[0]!;
}

const dir = mkdtempSync(join(tmpdir(), "ipwarden-guide-"));
const children: ChildProcess[] = [];
after(async () => {
  for (const c of children) {
    // With what it has started itself: a Worker is a process of miniflare's.
    try { process.kill(-c.pid!, "SIGKILL"); } catch { /* all of them have ended */ }
    if (c.exitCode === null && c.signalCode === null) await once(c, "exit");
  }
  rmSync(dir, { recursive: true, force: true });
});

test("from nothing to a protected Worker", async () => {
  const ports: Record<string, string> = { 8080: String(await port()), 8787: String(await port()), 3000: String(await port()) };
  const here = (text: string) => text.replace(/\b(8080|8787|3000)\b/g, (p) => ports[p]!);
  const program = resolve(process.env["IPWARDEN_BIN"] ?? "../../bin/ipwarden");
  mkdirSync(join(dir, "bin"));
  symlinkSync(program, join(dir, "bin/ipwarden"));
  const env = { ...process.env, PATH: `${join(dir, "bin")}:${process.env["PATH"]}`, HOME: dir, XDG_DATA_HOME: dir };
  const run = (command: string) => {
    const child = spawn("sh", ["-c", `exec ${command}`], { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    let said = "";
    for (const s of [child.stdout!, child.stderr!]) s.on("data", (b: Buffer) => { said += b.toString(); });
    children.push(child);
    return { child, said: () => said };
  };

  // 1 to 3: the files, ipwarden, and the package as it is installed.
  writeFileSync(join(dir, "policy.yaml"), block("version: 1"));
  const [secret, serve] = block("openssl rand").trim().split("\n") as [string, string];
  assert.equal(spawnSync("sh", ["-c", secret], { cwd: dir, env }).status, 0);
  const ipwarden = run(here(serve));
  const built = spawnSync(process.execPath, ["scripts/build.mjs"], { encoding: "utf8" });
  assert.equal(built.status, 0, built.stderr);
  mkdirSync(join(dir, "node_modules/@ipwarden"), { recursive: true });
  symlinkSync(resolve("."), join(dir, "node_modules/@ipwarden/edge"));
  for (const m of ["esbuild", "miniflare"]) symlinkSync(resolve("node_modules", m), join(dir, "node_modules", m));
  writeFileSync(join(dir, "worker.js"), blocks.find((b) => b.includes("export default protect();"))!);
  // A busy machine may be late with an answer, which is not what this is about.
  const patient = readFileSync(join(dir, "worker.js"), "utf8").replace("protect()", "protect({ budget: 10000 })");
  writeFileSync(join(dir, "worker.js"), patient);
  writeFileSync(join(dir, "try.mjs"), here(block("new Miniflare")));
  await eventually("ipwarden answers", () => fetch(`http://127.0.0.1:${ports["8080"]}/readyz`).then((r) => r.ok, () => false));

  // 4: it runs, and does what the page says.
  const tried = run(here(block("node try.mjs").trim()));
  await eventually(`the Worker listens: ${tried.said()}`, () => {
    if (tried.child.exitCode !== null) throw new Error(tried.said());
    return tried.said().includes("the Worker listens on");
  });
  const curl = (command: string) => spawnSync("sh", ["-c", command.replace("curl ", "curl -s --noproxy '*' ")], { encoding: "utf8", env }).stdout;
  const [passes, refused] = here(block("http://127.0.0.1:8787/admin")).trim().split("\n") as [string, string];
  const seen = JSON.parse(curl(passes)) as Record<string, string>;
  assert.equal(seen["x-ipwarden-verdict"], "allow");
  assert.equal(seen["x-ipwarden-country"], "US");
  assert.match(curl(refused), /^HTTP\/1.1 403/);
  // At once: a busy machine takes its time, and the limit fills again.
  const answers = await Promise.all(Array.from({ length: 12 }, () => fetch(`http://127.0.0.1:${ports["8787"]}/login`, { headers: { "CF-Connecting-IP": "8.8.8.8" } })));
  assert.ok(answers.filter((r) => r.status === 200).length >= 5);
  const over = answers.find((r) => r.status === 429);
  assert.ok(Number(over?.headers.get("retry-after")) >= 1);
  ipwarden.child.kill("SIGKILL");
  await once(ipwarden.child, "exit");
  assert.match(curl(passes.replace("8.8.8.8", "1.1.1.1")), /"x-ipwarden-degraded": "true"/);
});

test("what the page says of options is so", () => {
  for (const name of ["IPWARDEN_URL", "IPWARDEN_TOKEN", "IPWARDEN_KV", "IPWARDEN_ORIGIN", "IPWARDEN_CHALLENGE_KEY"]) {
    assert.ok(guide.includes(`| \`${name}\` |`), name);
    assert.ok(readFileSync("src/serve.ts", "utf8").includes(name), name);
  }
});
