// Makes dist/: the package as it is published, minified, with its types. Prints how
// large it is.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What is imported by name: @ipwarden/edge and @ipwarden/edge/NAME. */
export const entries = ["index", "cloudflare", "express", "fetch", "hono", "lambda-edge", "local", "vercel"];

/** Builds the scripts into a folder, and returns their bytes as they are and gzipped together. */
export async function pack(outdir) {
  rmSync(outdir, { recursive: true, force: true });
  await build({
    absWorkingDir: root, entryPoints: entries.map((e) => `src/${e}.ts`), outdir,
    bundle: true, splitting: true, minify: true, format: "esm", target: "es2022", platform: "neutral", packages: "external", logLevel: "warning",
  });
  const all = Buffer.concat(readdirSync(outdir).filter((f) => f.endsWith(".js")).sort().map((f) => readFileSync(join(outdir, f))));
  return { bytes: all.length, gzipped: gzipSync(all, { level: 9 }).length };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = join(root, "dist");
  const size = await pack(dist);
  const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "tsconfig.json"), "--declaration", "--emitDeclarationOnly", "--outDir", join(root, "build/types")], { stdio: "inherit" });
  if (tsc.status !== 0) process.exit(tsc.status ?? 1);
  for (const f of readdirSync(join(root, "build/types/src"))) copyFileSync(join(root, "build/types/src", f), join(dist, f));
  console.log(`dist/: ${size.bytes} bytes, ${size.gzipped} gzipped`);
}
