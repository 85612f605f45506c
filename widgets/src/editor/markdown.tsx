// Notes are Markdown: a small part of it, made of text nodes and plain elements. No HTML is taken from a text, links are https only, images are not.
import * as React from "react";
import { blocksOf, safe } from "./blocks";
import { InlineFormula, Formula } from "./formula";
import { visible } from "./geometry";

/** `**bold**`, `*italic*`, `` `code` ``, `$formula$`, `[text](https://…)`; anything else is text. */
function inline(text: string, depth = 0): React.ReactNode[] {
  const out: React.ReactNode[] = [];
  let rest = text;
  let key = 0;
  while (rest !== "") {
    const m = depth > 8 ? null : /`([^`\n]+)`|\$([^$\n]+)\$|\*\*(?=\S)(.+?)\*\*|\*(?=\S)([^*\n]+?)\*|_(?=\S)([^_\n]+?)_(?!\w)|\[([^\]\n]{1,400})\]\(([^\s()]{1,2000})\)/s.exec(rest);
    if (!m) { out.push(visible(rest)); break; }
    if (m.index > 0) out.push(visible(rest.slice(0, m.index)));
    const [whole, code, formula, bold, italic, under, label, href] = m;
    if (code !== undefined) out.push(<code key={key++}>{visible(code)}</code>);
    else if (formula !== undefined) out.push(<InlineFormula key={key++} latex={formula} />);
    else if (bold !== undefined) out.push(<b key={key++}>{inline(bold, depth + 1)}</b>);
    else if (italic !== undefined || under !== undefined) out.push(<i key={key++}>{inline(italic ?? under, depth + 1)}</i>);
    else if (label !== undefined && safe(href)) out.push(<a key={key++} href={href} target="_blank" rel="noopener noreferrer nofollow" className="nodrag">{inline(label, depth + 1)}</a>);
    else out.push(visible(whole));
    rest = rest.slice(m.index + whole.length);
  }
  return out;
}

/** One line of it. */
export const Line = React.memo(function Line({ text }: { text: string }) { return <>{inline(text)}</>; });

export const Markdown = React.memo(function Markdown({ text }: { text: string }) {
  return <>{blocksOf(text).map((b, i) => {
    switch (b.kind) {
      case "h1": case "h2": case "h3": return <strong key={i} className={`mh ${b.kind}`}>{inline(b.lines[0])}</strong>;
      case "ul": return <ul key={i}>{b.lines.map((l, k) => <li key={k}>{inline(l)}</li>)}</ul>;
      case "ol": return <ol key={i}>{b.lines.map((l, k) => <li key={k}>{inline(l)}</li>)}</ol>;
      case "code": return <pre key={i}>{visibleLines(b.lines)}</pre>;
      case "formula": return <Formula key={i} latex={b.lines.join(" ")} />;
      case "p": return <p key={i}>{b.lines.map((l, k) => <React.Fragment key={k}>{k > 0 && <br />}{inline(l)}</React.Fragment>)}</p>;
      default: b.kind satisfies never; return null;
    }
  })}</>;
});

const visibleLines = (lines: string[]): string => lines.map(visible).join("\n");
