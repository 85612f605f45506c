// Bundles each widget of the page to one ESM file and one CSS file in flowlab/widgets/static. `node build.mjs [--watch]`
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, context } from "esbuild";
import { inlineWorkers } from "./inline-workers.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const watch = process.argv.includes("--watch");
const entryPoints = Object.fromEntries(
  ["editor", "lstm", "conv", "rnn", "training", "replay", "start"].map((name) => [name, join(here, "src", name, "index.tsx")]).filter(([, path]) => existsSync(path)));

const options = {
  entryPoints,
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  minify: !watch,
  sourcemap: watch ? "inline" : false,
  outdir: process.env.FLOWLAB_STATIC ?? join(here, "..", "flowlab", "widgets", "static"),
  define: { "process.env.NODE_ENV": watch ? '"development"' : '"production"' },
  logLevel: "info",
  legalComments: "none",
  charset: "utf8",      // a Chinese character in three bytes, not six
  plugins: [inlineWorkers(!watch)],
};

// JupyterLab reads its extensions as classic scripts
const extension = { ...options, entryPoints: { labextension: join(here, "src", "start", "labextension.ts") }, format: "iife" };

for (const each of [options, extension]) {
  if (watch) await (await context(each)).watch();
  else await build(each);
}
