// How large the package is.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const { exports } = JSON.parse(readFileSync("package.json", "utf8")) as { exports: Record<string, unknown> };

test("what is deployed has 12 KB at most, whatever the adapter", async (t) => {
  const { entries } = (await import(`${process.cwd()}/scripts/build.mjs`)) as { entries: string[] };
  assert.ok(exports["./*"]);
  for (const name of entries) {
    const made = await build({ entryPoints: [`src/${name}.ts`], bundle: true, minify: true, write: false, format: "esm", target: "es2022", platform: "neutral", packages: "external", logLevel: "warning" });
    const code = made.outputFiles[0]!.contents;
    const gzipped = gzipSync(code, { level: 9 }).length;
    t.diagnostic(`${name}: ${code.length} bytes, ${gzipped} gzipped`);
    assert.ok(gzipped <= 12 * 1024, `${name}: ${gzipped} bytes gzipped`);
  }
});

test("it has no dependencies", () => {
  const manifest = JSON.parse(readFileSync("package.json", "utf8")) as Record<string, unknown>;
  for (const kind of ["dependencies", "peerDependencies", "optionalDependencies"]) assert.equal(manifest[kind], undefined);
});
