// Makes dist/: the package as it is published, minified, with its types. Prints how
// large it is.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What is imported by name: @ipwarden/edge and @ipwarden/edge/NAME. */
export const entries = ["index", "cloudflare", "express", "fetch", "hono", "lambda-edge", "vercel"];

const options = {
  absWorkingDir: root, bundle: true, minify: true, format: "esm", target: "es2022", platform: "neutral", packages: "external", logLevel: "warning",
};

/**
 * Builds the scripts into a folder, and returns their bytes as they are and gzipped together. All
 * code is in one module, so that nothing is there twice; the others say what of it is whose.
 */
export async function pack(outdir) {
  rmSync(outdir, { recursive: true, force: true });
  const listed = await build({ ...options, entryPoints: entries.map((e) => `src/${e}.ts`), outdir, write: false, metafile: true });
  const names = new Map(Object.values(listed.metafile.outputs).map((o) => [basename(o.entryPoint, ".ts"), o.exports]));
  const all = [...new Set([...names].flatMap(([e, of]) => of.map((n) => `${e}.${n}`)))];
  const short = (e, n) => "_" + all.indexOf(`${e}.${n}`).toString(36);
  const contents = entries.map((e) => `export { ${names.get(e).map((n) => `${n} as ${short(e, n)}`).join(", ")} } from "./src/${e}.ts";`).join("\n");
  await build({ ...options, stdin: { contents, resolveDir: root, loader: "ts" }, outfile: join(outdir, "all.js") });
  for (const e of entries) writeFileSync(join(outdir, e + ".js"), `export{${names.get(e).map((n) => `${short(e, n)} as ${n}`).join()}}from"./all.js";\n`);
  const bytes = Buffer.concat(readdirSync(outdir).sort().map((f) => readFileSync(join(outdir, f))));
  return { bytes: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = join(root, "dist"), types = join(root, "build/types");
  const size = await pack(dist);
  // Types of what can be imported, and of what those import.
  rmSync(types, { recursive: true, force: true });
  mkdirSync(types, { recursive: true });
  const config = { extends: "../../tsconfig.json", compilerOptions: { rootDir: "../../src", outDir: "../../dist", noEmit: false, declaration: true, emitDeclarationOnly: true }, include: [], files: entries.map((e) => `../../src/${e}.ts`) };
  writeFileSync(join(types, "tsconfig.json"), JSON.stringify(config));
  const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", types], { stdio: "inherit" });
  if (tsc.status !== 0) process.exit(tsc.status ?? 1);
  console.log(`dist/: ${size.bytes} bytes, ${size.gzipped} gzipped`);
}
