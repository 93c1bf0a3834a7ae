// Runs bench.ts: how long requests through a Worker in workerd take.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
await build({ entryPoints: ["scripts/bench.ts"], outfile: "build/bench.mjs", bundle: true, packages: "external", platform: "node", target: "node20", format: "esm", logLevel: "warning" });
process.exit(spawnSync(process.execPath, ["build/bench.mjs"], { stdio: "inherit", env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: "false" } }).status ?? 1);
