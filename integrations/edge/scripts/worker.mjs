// Bundles what `ipwarden edge build` writes beside the engine into the folder that is its
// argument: ipwarden.js, and ipwarden-remote.js for projects that ask a gate as well.
import { build } from "esbuild";
import { join } from "node:path";

for (const [from, to] of [["worker", "ipwarden"], ["worker-remote", "ipwarden-remote"]]) {
  await build({
    entryPoints: [`src/${from}.ts`], outfile: join(process.argv[2], `${to}.js`), bundle: true, minify: true, format: "esm", platform: "neutral",
    target: "es2022", legalComments: "none", logLevel: "warning", banner: { js: "// Built of integrations/edge/src by make edge." },
  });
}
