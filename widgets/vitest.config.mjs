import { dirname, join } from "node:path";
import { bundled } from "./inline-workers.mjs";

export default {
  plugins: [{
    name: "inline-workers",
    enforce: "pre",
    resolveId: (id, importer) => (id.startsWith("worker:") ? `\0${join(dirname(importer), id.slice("worker:".length))}?inline-worker` : null),
    load: async (id) => (id.endsWith("?inline-worker") ? `export default ${JSON.stringify((await bundled(id.slice(1, -"?inline-worker".length))).code)}` : null),
  }],
};
