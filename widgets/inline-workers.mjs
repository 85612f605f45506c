// `import source from "worker:./x.ts"`: the code of a worker as text, bundled by itself; an ESM file of one piece has no second file to load it from.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));

export async function bundled(path, minify = true) {
  const made = await build({ entryPoints: [path], bundle: true, write: false, metafile: true, format: "iife", target: "es2022", minify, absWorkingDir: here });
  return { code: made.outputFiles[0].text, inputs: Object.keys(made.metafile.inputs).map((f) => join(here, f)) };
}

export const inlineWorkers = (minify) => ({
  name: "inline-workers",
  setup(page) {
    page.onResolve({ filter: /^worker:/ }, (args) => ({ path: join(args.resolveDir, args.path.slice("worker:".length)), namespace: "worker" }));
    page.onLoad({ filter: /.*/, namespace: "worker" }, async (args) => {
      const { code, inputs } = await bundled(args.path, minify);
      return { contents: code, loader: "text", watchFiles: inputs };
    });
  },
});
