// Bundles test/*.test.ts and runs them on Node's own test runner. Arguments are
// names of tests: node scripts/test.mjs gate cloudflare
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);
const only = process.argv.slice(2);
const names = readdirSync("test").filter((f) => f.endsWith(".test.ts") && (only.length === 0 || only.includes(f.slice(0, -8)))).sort();
if (names.length === 0) {
  console.error(`no test of ${only.join(", ") || "test/"}`);
  process.exit(2);
}
rmSync("build", { recursive: true, force: true });
await build({
  entryPoints: names.map((n) => `test/${n}`),
  outdir: "build", outExtension: { ".js": ".mjs" },
  bundle: true, packages: "external", platform: "node", target: "node20", format: "esm", logLevel: "warning", sourcemap: "inline",
});
const run = spawnSync(process.execPath,
  ["--enable-source-maps", "--test", "--test-concurrency=1", "--test-reporter=spec", ...names.map((n) => `build/${n.slice(0, -3)}.mjs`)],
  { stdio: "inherit", env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false" } });
process.exit(run.status ?? 1);
