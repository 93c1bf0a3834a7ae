// What `ipwarden edge build` writes for Lambda@Edge and for Vercel, run as it was written,
// with the adapters of the package: under Node with CloudFront's events, and in edge-runtime.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { EdgeRuntime } from "edge-runtime";
import { event } from "./rigs.js";

const dir = mkdtempSync(join(tmpdir(), "ipwarden-outputs-"));
const tor = "185.220.101.1", visitor = "78.64.1.1";

before(async () => {
  writeFileSync(join(dir, "policy.yaml"), `version: 1
defaults: {fail_mode: closed}
rules:
  - {name: tor, when: ip.security.is_tor, action: block}
  - {name: admin, when: 'request.path.startsWith("/admin")', action: block}
limits:
  - {name: few, when: request.path == "/few", rate: 2/min}
`);
  for (const platform of ["lambda-edge", "vercel"]) {
    execFileSync(resolve(process.env["IPWARDEN_BIN"] ?? "../../bin/ipwarden"), ["edge", "build", "--policy", "policy.yaml", "--platform", platform, "--out", `${platform}/edge`, "--data-dir", "none"], { cwd: dir });
  }
  const { pack } = (await import(`${process.cwd()}/scripts/build.mjs`)) as { pack(dir: string): Promise<unknown> };
  const modules = join(dir, "node_modules/@ipwarden/edge");
  mkdirSync(modules, { recursive: true });
  await pack(join(modules, "dist"));
  cpSync("package.json", join(modules, "package.json"));
});
after(() => rmSync(dir, { recursive: true, force: true }));

test("Lambda@Edge", () => {
  // As docs/edge-local.md has it; the rest stands in for AWS.
  writeFileSync(join(dir, "lambda-edge/index.mjs"), `import { lambdaEdge } from "@ipwarden/edge/lambda-edge";
import { gate } from "./edge/gate.js";

export const handler = lambdaEdge(gate);
`);
  writeFileSync(join(dir, "lambda-edge/aws.mjs"), `import { readFileSync } from "node:fs";
import { handler } from "./index.mjs";
const answers = [];
for (const event of JSON.parse(readFileSync(0, "utf8"))) answers.push(await handler(event));
console.log(JSON.stringify(answers));
`);
  const forged: [string, string][] = [["X-Ipwarden-Verdict", "forged"], ["X-Forwarded-For", tor]];
  for (const type of ["viewer-request", "origin-request"]) {
    const events = [
      event(type, visitor, { headers: forged }), event(type, tor, { headers: [["X-Forwarded-For", visitor], ["Accept", "text/html"]] }), event(type, visitor, { path: "/admin?x=1" }), event(type, "", {}),
      ...[1, 2, 3].map(() => event(type, visitor, { path: "/few" })),
    ];
    const answers = JSON.parse(execFileSync(process.execPath, ["aws.mjs"], { cwd: join(dir, "lambda-edge"), encoding: "utf8", input: JSON.stringify(events) })) as { uri?: string; status?: string; body?: string; headers: Record<string, { value: string }[]> }[];
    assert.equal(answers[0]!.uri, "/");
    assert.deepEqual([answers[0]!.headers["x-ipwarden-verdict"]![0]!.value, answers[0]!.headers["x-ipwarden-ip"]![0]!.value], ["allow", visitor]);
    assert.deepEqual(answers.slice(1, 4).map((a) => a.status), ["403", "403", "503"]);
    assert.match(answers[1]!.body!, /<h1>Not allowed<\/h1>/);
    assert.deepEqual(answers.slice(4).map((a) => a.status), [undefined, undefined, "429"]);
  }
});

test("Vercel", async () => {
  writeFileSync(join(dir, "vercel/middleware.js"), `import { middleware as guard } from "@ipwarden/edge/vercel";
import { gate } from "./edge/gate.js";

export const middleware = guard(gate);
`);
  // Vercel's build makes a WebAssembly.Module of what is imported with ?module.
  const made = await build({
    stdin: { contents: 'import { middleware } from "./middleware.js"; addEventListener("fetch", (e) => e.respondWith(middleware(e.request, e)));', resolveDir: join(dir, "vercel") },
    bundle: true, format: "iife", target: "es2022", write: false, conditions: ["edge-light"], logLevel: "warning",
    plugins: [{
      name: "module", setup(b) {
        b.onResolve({ filter: /\.wasm\?module$/ }, (a) => ({ path: a.path, namespace: "module" }));
        b.onLoad({ filter: /.*/, namespace: "module" }, () => ({ contents: "export default globalThis.engineOfTheBuild;" }));
      },
    }],
  });
  const wasm = new Uint8Array(readFileSync(join(dir, "vercel/edge/engine.wasm")));
  // On Vercel the module is one of the runtime's own realm, in Next.js's own server of another.
  for (const own of [true, false]) {
    const runtime = new EdgeRuntime({
      extend: (context) => Object.assign(context, own ? { bytesOfTheEngine: wasm } : { engineOfTheBuild: new WebAssembly.Module(wasm) }),
      initialCode: (own ? "globalThis.engineOfTheBuild = new WebAssembly.Module(bytesOfTheEngine);\n" : "") + made.outputFiles[0]!.text,
    });
    const ask = (path: string, headers: Record<string, string>) => runtime.dispatchFetch(`https://www.example.org${path}`, { headers });
    const passes = await ask("/", { "x-vercel-forwarded-for": visitor, "x-forwarded-for": tor, "x-ipwarden-verdict": "forged" });
    assert.equal(passes.status, 200);
    assert.deepEqual(["x-middleware-next", "x-middleware-request-x-ipwarden-verdict", "x-middleware-request-x-ipwarden-ip"].map((n) => passes.headers.get(n)), ["1", "allow", visitor]);
    const statuses: number[] = [];
    for (const [path, address] of [["/", tor], ["/admin", visitor], ["/", ""], ["/few", visitor], ["/few", visitor], ["/few", visitor]] as const) statuses.push((await ask(path, { "x-vercel-forwarded-for": address })).status);
    assert.deepEqual(statuses, [403, 403, 503, 200, 200, 429]);
  }
});
