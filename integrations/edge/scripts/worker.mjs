// Bundles src/worker.ts into the file that is its argument.
import { build } from "esbuild";

await build({
  entryPoints: ["src/worker.ts"], outfile: process.argv[2], bundle: true, minify: true, format: "esm", platform: "neutral",
  target: "es2022", legalComments: "none", logLevel: "warning", banner: { js: "// Built of integrations/edge/src by make edge." },
});
