// How large the package is, and what goes with the engine.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const most = 12 << 10;

test("the package has 12 KB at most, all adapters together", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "ipwarden-size-"));
  try {
    const { pack } = (await import(`${process.cwd()}/scripts/build.mjs`)) as { pack(dir: string): Promise<{ bytes: number; gzipped: number }> };
    const { bytes, gzipped } = await pack(dir);
    t.diagnostic(`the package: ${bytes} bytes, ${gzipped} gzipped`);
    assert.ok(gzipped <= most, `${gzipped} bytes gzipped`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("what goes with the engine has 12 KB at most, where nobody is asked", async (t) => {
  for (const name of ["worker", "worker-remote"]) {
    const made = await build({ entryPoints: [`src/${name}.ts`], bundle: true, minify: true, write: false, format: "esm", target: "es2022", platform: "neutral" });
    const gzipped = gzipSync(made.outputFiles[0]!.contents, { level: 9 }).length;
    t.diagnostic(`${name}: ${gzipped} gzipped`);
    assert.ok(gzipped <= (name === "worker" ? most : 14 << 10), `${name}: ${gzipped} bytes gzipped`);
  }
});

test("it has no dependencies", () => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Record<string, unknown>;
  for (const kind of ["dependencies", "peerDependencies", "optionalDependencies"]) assert.equal(manifest[kind], undefined);
});
