// Measures how long it takes from the start of workerd to the first verdict:
//
//	ipwarden edge build --policy policy.yaml --plan paid --out edge
//	node scripts/coldstart.mjs edge
//
// Nothing is kept from one start to the next: the engine is compiled, the policy and the
// dataset are loaded, and one request is decided. A second line has the same without the
// engine, a Worker that answers and no more.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [project, rounds = "9"] = process.argv.slice(2);
if (!existsSync(join(project, "dataset.bin"))) {
  console.error(`${project} has no dataset.bin: build it with --plan paid, and without --kv`);
  process.exit(2);
}
const require = createRequire(import.meta.url);
const miniflare = createRequire(require.resolve("miniflare"));
// The program itself: bin/workerd of the package is a script of Node's that starts it.
const own = createRequire(miniflare.resolve("workerd/package.json"));
const workerd = join(own.resolve(`@cloudflare/workerd-${process.platform}-${process.arch === "x64" ? "64" : process.arch}/package.json`), "..", "bin", "workerd");
const dir = mkdtempSync(join(tmpdir(), "coldstart-"));
for (const f of ["worker.js", "ipwarden.js", "engine.wasm", "program.bin", "dataset.bin"]) copyFileSync(join(project, f), join(dir, f));
// The gate refuses or asks the origin; here it is the Worker itself that answers.
writeFileSync(join(dir, "main.js"), `import { Local } from "./ipwarden.js"; import engine from "./engine.wasm"; import program from "./program.bin"; import dataset from "./dataset.bin";
let local;
export default { fetch(request, env, context) {
  local ??= new Local({ engine, program, dataset, limits: false });
  const v = local.decide({ address: "185.220.101.1", method: "GET", scheme: "https", host: "example.com", path: "/", headers: [["user-agent", "Mozilla/5.0"]] }, context, {});
  return new Response(v.verdict);
} };`);
writeFileSync(join(dir, "empty.js"), `export default { fetch() { return new Response("nothing"); } };`);

async function start(modules) {
  const s = net.createServer().listen(0, "127.0.0.1");
  await once(s, "listening");
  const { port } = s.address();
  await new Promise((ok) => s.close(ok));
  const config = join(dir, "config.capnp");
  writeFileSync(config, `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .w)], sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]);
const w :Workerd.Worker = (modules = [${modules}], compatibilityDate = "2026-04-01");`);
  const t = performance.now();
  const p = spawn(workerd, ["serve", config], { stdio: ["ignore", "ignore", "inherit"] });
  let said = "", took = 0, cpu = 0;
  for (const end = t + 30000; performance.now() < end; ) {
    try {
      said = await (await fetch(`http://127.0.0.1:${port}/`)).text();
      took = performance.now() - t;
      cpu = spent(p.pid);
      break;
    } catch {
      await new Promise((ok) => setTimeout(ok, 2));
    }
  }
  p.kill();
  await once(p, "exit");
  return { said, took, cpu };
}

/** Milliseconds of CPU of all threads of a process: beside others the clock says more. */
function spent(pid) {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) ns += +readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0];
  return ns / 1e6;
}

const all = `(name = "main.js", esModule = embed "main.js"), (name = "ipwarden.js", esModule = embed "ipwarden.js"), (name = "engine.wasm", wasm = embed "engine.wasm"), (name = "program.bin", data = embed "program.bin"), (name = "dataset.bin", data = embed "dataset.bin")`;
const size = (f) => statSync(join(dir, f)).size;
for (const [name, modules] of [["engine", all], ["nothing", `(name = "empty.js", esModule = embed "empty.js")`]]) {
  const times = [], cpus = [];
  let said = "";
  for (let i = 0; i < +rounds; i++) {
    const r = await start(modules);
    said = r.said;
    times.push(r.took);
    cpus.push(r.cpu);
  }
  times.sort((a, b) => a - b);
  cpus.sort((a, b) => a - b);
  console.log(JSON.stringify({ worker: name, said, cold_start_ms: { median: Math.round(times[times.length >> 1]), least: Math.round(times[0]) }, cpu_ms: Math.round(cpus[cpus.length >> 1]), ...(name === "engine" && { engine: size("engine.wasm"), dataset: size("dataset.bin") }) }));
}
rmSync(dir, { recursive: true, force: true });
