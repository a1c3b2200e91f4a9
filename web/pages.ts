/** Of each page of src/features.ts, the files that it needs beside the first ones: the server names them with the page, so that they are asked
 * for at once and not when the first script runs. Written as pages.json. */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Plugin, Rolldown } from "vite";

const SOURCE = resolve(import.meta.dirname, "src");
const PAGE = /path: "([^"]+)"[^]*?import\("\.\/([^"]+)"\)/g;

export function pages(): Plugin {
  return {
    name: "pages",
    enforce: "post",
    generateBundle(_, bundle) {
      const chunks = Object.values(bundle).filter((one) => one.type === "chunk");
      const first = filesOf(
        chunks.find((one) => one.isEntry)!,
        bundle,
      );
      const rows = [...readFileSync(resolve(SOURCE, "features.ts"), "utf-8").matchAll(PAGE)].map(([, path, module]) => {
        const chunk = chunks.find((one) => one.facadeModuleId === resolve(SOURCE, `${module}.tsx`));
        if (!chunk) throw new Error(`src/features.ts names ${module}, which is no chunk of its own`);
        return { path, files: [...filesOf(chunk, bundle)].filter((file) => !first.has(file)) };
      });
      this.emitFile({ type: "asset", fileName: "pages.json", source: JSON.stringify(rows) });
    },
  };
}

/** A chunk's own file, its styles, and those of all that it imports. */
function filesOf(chunk: Rolldown.OutputChunk, bundle: Rolldown.OutputBundle, found = new Set<string>()): Set<string> {
  if (found.has(chunk.fileName)) return found;
  found.add(chunk.fileName);
  for (const style of (chunk as { viteMetadata?: { importedCss: Set<string> } }).viteMetadata?.importedCss ?? []) found.add(style);
  for (const name of chunk.imports) {
    const imported = bundle[name];
    if (imported?.type === "chunk") filesOf(imported, bundle, found);
  }
  return found;
}
