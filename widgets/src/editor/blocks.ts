// Markdown's blocks, told apart by their lines; no part of a text is ever taken for markup of the page.
const MOST = 20_000;

/** An address that a note may lead to. */
export function safe(href: string): boolean {
  try {
    return new URL(href).protocol === "https:";
  } catch {
    return false;
  }
}

export type Block = { kind: "p" | "h1" | "h2" | "h3" | "ul" | "ol" | "code" | "formula"; lines: string[] };

export function blocksOf(text: string): Block[] {
  const out: Block[] = [];
  const lines = text.slice(0, MOST).replace(/\r/g, "").split("\n");
  let open = null as Block | null;
  const close = () => { if (open) out.push(open); open = null; };
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    if (/^```/.test(line)) {
      close();
      const body: string[] = [];
      while (++i < lines.length && !/^```/.test(lines[i])) body.push(lines[i]);
      out.push({ kind: "code", lines: body });
      continue;
    }
    const one = /^\s*\$\$(.+?)\$\$\s*$/.exec(line);
    if (one || /^\s*\$\$\s*$/.test(line)) {
      close();
      const body: string[] = one ? [one[1]] : [];
      if (!one) while (++i < lines.length && !/^\s*\$\$\s*$/.test(lines[i])) body.push(lines[i]);
      out.push({ kind: "formula", lines: body });
      continue;
    }
    const head = /^(#{1,3})\s+(.+)$/.exec(line);
    const item = /^\s*(?:([-*+])|\d{1,4}[.)])\s+(.*)$/.exec(line);
    if (head) { close(); out.push({ kind: `h${head[1].length}` as "h1", lines: [head[2]] }); }
    else if (item) {
      const kind = item[1] !== undefined ? "ul" : "ol";
      if (open?.kind !== kind) { close(); open = { kind, lines: [] }; }
      open!.lines.push(item[2]);
    } else if (line.trim() === "") close();
    else {
      if (open?.kind !== "p") { close(); open = { kind: "p", lines: [] }; }
      open!.lines.push(line);
    }
  }
  close();
  return out;
}
