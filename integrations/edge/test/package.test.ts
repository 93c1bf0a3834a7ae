// The package as it is published: packed, installed into an empty folder, imported.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";

const dir = mkdtempSync(join(tmpdir(), "ipwarden-package-"));
const user = join(dir, "user");
const exported = Object.keys((JSON.parse(readFileSync("package.json", "utf8")) as { exports: object }).exports);
let files: string[];

before(() => {
  const run = (cwd: string, program: string, ...args: string[]) => execFileSync(program, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  run(".", process.execPath, "scripts/build.mjs");
  const [packed] = JSON.parse(run(".", "npm", "pack", "--json", "--ignore-scripts", "--pack-destination", dir)) as [{ filename: string; files: { path: string }[] }];
  files = packed.files.map((f) => f.path).sort();
  mkdirSync(user);
  writeFileSync(join(user, "package.json"), '{"private": true, "type": "module"}');
  run(user, "npm", "install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", join(dir, packed.filename));
});
after(() => rmSync(dir, { recursive: true, force: true }));

test("nothing goes out that nobody needs", () => {
  for (const name of ["LICENSE", "README.md", "package.json", "dist/all.js", ...exported.flatMap((e) => [".js", ".d.ts"].map((end) => `dist/${e.slice(2) || "index"}${end}`))]) assert.ok(files.includes(name), `${name} is not in ${files}`);
  for (const name of files) assert.match(name, /^(LICENSE|README\.md|package\.json|dist\/[a-z-]+\.(js|d\.ts))$/);
});

test("what the documents import is there", () => {
  const docs = dirname(resolve(process.env["IPWARDEN_GUIDE"] ?? "../../docs/edge.md"));
  const lines: string[] = [];
  for (const file of ["edge.md", "edge-local.md", "edge-platforms.md"].map((f) => join(docs, f)).concat("README.md")) {
    const found = [...readFileSync(file, "utf8").matchAll(/import \{([^}]+)\} from "(@ipwarden\/edge[\w/-]*|\.\/edge\/gate\.js)"/g)];
    assert.ok(found.length > 0, `${file} imports nothing`);
    for (const [, names, from] of found) {
      // What edge build has written exports this.
      if (from!.startsWith(".")) assert.match(names!, /^ (gate|decider|options) $/, file);
      else lines.push(`import {${names!.split(",").map((n) => `${n.trim().split(" ")[0]} as _${lines.length}_${n.trim().split(" ")[0]}`).join(", ")}} from "${from}"; // ${file}`);
    }
  }
  writeFileSync(join(user, "docs.js"), lines.join("\n"));
  execFileSync(process.execPath, ["docs.js"], { cwd: user, stdio: ["ignore", "pipe", "inherit"] });
});

test("every export can be imported", () => {
  const names: Record<string, string[]> = {
    ".": ["Gate", "Remote", "Proxies", "Refuse", "kvStore", "cacheStore", "canonical", "enrichments"],
    "./cloudflare": ["protect", "pages", "clientAddress", "remote"], "./express": ["express"], "./fetch": ["protect", "bun", "deno", "node"],
    "./hono": ["hono"], "./lambda-edge": ["lambdaEdge"], "./vercel": ["middleware"],
  };
  assert.deepEqual(exported.sort(), Object.keys(names).sort());
  writeFileSync(join(user, "all.js"), exported.map((e, i) => `import * as m${i} from "@ipwarden/edge${e.slice(1)}";`).join("\n") + `
console.log(JSON.stringify({ ${exported.map((e, i) => `${JSON.stringify(e)}: Object.entries(m${i}).filter(([, v]) => v !== undefined).map(([n]) => n)`).join(", ")} }));
const verdict = { verdict: "block", passes: false, status: 403, retryAfter: 0, location: "", reason: "rule", by: "", tier: "", decision: "", country: "", asn: 0, traits: [], risk: 0, tags: [], degraded: false };
const gate = new m0.Gate({ decider: { decide: () => verdict } });
const outcome = await gate.check({ address: "8.8.8.8", method: "GET", scheme: "https", host: "example.org", path: "/", headers: [] }, { waitUntil() {} });
if (outcome.status !== 403) throw new Error(JSON.stringify(outcome));
`);
  const got = JSON.parse(execFileSync(process.execPath, ["all.js"], { cwd: user, encoding: "utf8" })) as Record<string, string[]>;
  for (const [e, all] of Object.entries(names)) for (const name of all) assert.ok(got[e]!.includes(name), `${e} has no ${name}: ${got[e]}`);
});

test("its types are found", () => {
  // As somebody writes it; @types/node is theirs.
  writeFileSync(join(user, "user.ts"), `import { createServer } from "node:http";
import { Gate, Remote, type Route, type Verdict } from "@ipwarden/edge";
import { protect } from "@ipwarden/edge/cloudflare";
import { express } from "@ipwarden/edge/express";
import { deno, protect as guard } from "@ipwarden/edge/fetch";
import { lambdaEdge } from "@ipwarden/edge/lambda-edge";
import { middleware } from "@ipwarden/edge/vercel";

const routes: Route[] = [{ host: "*.example.org", method: "POST", path: "/login", fail: "closed" }];
const gate = new Gate({ decider: new Remote({ url: "https://ipwarden.example.org", token: "x" }), routes });
export const verdict = async (): Promise<Verdict> => (await gate.check({ address: "8.8.8.8", method: "GET", scheme: "https", host: "example.org", path: "/", headers: [] }, { waitUntil() {} })).verdict;
export default protect({ routes, next: (request) => fetch(request) });
export const all = [lambdaEdge(gate), middleware(gate), guard(gate, () => new Response("ok"), { peer: deno })];
createServer((req, res) => express(gate)(req, res, () => res.end()));
// @ts-expect-error: there is no such fail mode
new Gate({ decider: { decide: () => { throw new Error(); } }, fail: "maybe" });
`);
  mkdirSync(join(user, "node_modules/@types"));
  symlinkSync(resolve("node_modules/@types/node"), join(user, "node_modules/@types/node"));
  symlinkSync(resolve("node_modules/undici-types"), join(user, "node_modules/undici-types"));
  for (const [module, resolution] of [["ESNext", "bundler"], ["NodeNext", "NodeNext"]]) {
    writeFileSync(join(user, "tsconfig.json"), JSON.stringify({ compilerOptions: { target: "ES2022", module, moduleResolution: resolution, lib: ["ES2022", "DOM", "DOM.Iterable"], strict: true, noEmit: true, types: ["node"] }, files: ["user.ts"] }));
    execFileSync(process.execPath, [resolve("node_modules/typescript/bin/tsc"), "-p", "."], { cwd: user, stdio: ["ignore", "inherit", "inherit"] });
  }
});
