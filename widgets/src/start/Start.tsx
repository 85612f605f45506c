// The start page: lessons, recent graphs and templates of the server's folder; each is one click away from its notebook.
import * as React from "react";
import { visible } from "../editor/geometry";
import { followTheme } from "../shared/color";
import { Icon, categoryIcon } from "../shared/icons";
import { type Language, LanguageChoice, t, told, useLanguage } from "../shared/words";

/** Where the page stands: in a tab of JupyterLab, or by itself. */
export type Host = {
  /** The server's address, with a slash at its end. */
  base: string;
  token?: string;
  /** Show a notebook of the server's folder; `run`: it was just written, and its cell shows what it is about. */
  open(path: string, run: boolean): void | Promise<void>;
  href(path: string): string;
};

type Picture = { columns: number; rows: number; nodes: [column: number, row: number, category: string, folded: boolean][]; edges: [from: number, to: number][] };
type Notebook = { path: string; title: string; says: string };
type Contents = {
  lessons: Readonly<Record<string, readonly Notebook[]>>;
  notebooks: readonly Notebook[];
  recent: readonly { path: string; name: string; when: string; picture: Picture | null }[];
  templates: readonly { name: string; label: string; says: string; picture: Picture | null }[];
};

const MOST_NOTEBOOKS = 12;

async function ask<T>(host: Host, body?: object): Promise<T> {
  const xsrf = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1];
  const headers: Record<string, string> = { ...(xsrf ? { "X-XSRFToken": decodeURIComponent(xsrf) } : {}), ...(host.token ? { Authorization: `token ${host.token}` } : {}) };
  const answer = await fetch(`${host.base}flowlab/api/start`, { headers, cache: "no-store", ...(body ? { method: "POST", body: JSON.stringify(body) } : {}) })
    .catch(() => { throw new Error("Jupyter does not answer. Is it still running?"); });
  const said = (await answer.json().catch(() => ({}))) as { message?: string };
  if (!answer.ok) throw new Error(typeof said.message === "string" && said.message ? said.message : `${answer.status} ${answer.statusText}`);
  return said as T;
}

const NAMES: readonly { tag: string; name: string }[] = [{ tag: "en", name: "English" }, { tag: "zh-CN", name: "简体中文" }];
const lessonsOf = (lang: Language): string => (lang === "en" ? "en" : "zh-CN");

export function Start({ host }: { host: Host }) {
  const lang = useLanguage();
  const [contents, setContents] = React.useState<Contents | null>(null);
  const [wrong, setWrong] = React.useState("");
  const [busy, setBusy] = React.useState(false);
  const [chosen, setChosen] = React.useState<string | null>(null);
  const root = React.useRef<HTMLDivElement>(null);
  React.useLayoutEffect(() => (root.current ? followTheme(root.current) : undefined), []);
  React.useEffect(() => setChosen(null), [lang]);     // the lessons follow the language of the screen
  const read = React.useCallback(() => ask<Contents>(host).then(setContents, (e: Error) => setWrong(e.message)), [host]);
  React.useEffect(() => {
    // whoever comes back to the page, or to the tab that it is in, finds what was saved meanwhile
    const again = () => { if (!document.hidden && root.current?.checkVisibility()) void read(); };
    window.addEventListener("focus", again);
    const shown = new IntersectionObserver((entries) => { if (entries.some((e) => e.isIntersecting)) void read(); });
    if (root.current) shown.observe(root.current);
    return () => { window.removeEventListener("focus", again); shown.disconnect(); };
  }, [read]);
  const begin = (what: object) => async () => {
    if (busy) return;
    setBusy(true);
    setWrong("");
    try {
      await host.open((await ask<{ path: string }>(host, what)).path, true);
      await read();
    } catch (e) {
      setWrong((e as Error).message);
    }
    setBusy(false);
  };
  const link = (path: string) => ({
    href: host.href(path),
    onClick: (e: React.MouseEvent) => { if (!(e.ctrlKey || e.metaKey || e.shiftKey)) { e.preventDefault(); void host.open(path, false); } },
  });
  const from = chosen ?? lessonsOf(lang);
  const lessons = contents?.lessons[from] ?? [];
  return (
    <div ref={root} className="flowlab fl-start" data-testid="flowlab-start" lang={lang} aria-busy={busy || contents === null || undefined}>
      <main>
        <header>
          <Mark />
          <div><h1>flowlab</h1><p>{t("Build a graph, step through it, look inside.")}</p></div>
          <LanguageChoice />
        </header>
        {wrong && <p className="wrong" role="alert"><Icon name="error" size={13} /> {visible(told(wrong))}</p>}
        {contents && <>
          <section aria-labelledby="fl-start-lessons">
            <div className="head">
              <h2 id="fl-start-lessons">{t("Lessons")}</h2>
              <div className="seg" role="group" aria-label={t("Language of the lessons")}>{NAMES.map((n) => <button key={n.tag} type="button" lang={n.tag} aria-pressed={n.tag === from} onClick={() => setChosen(n.tag)}>{n.name}</button>)}</div>
            </div>
            {lessons.length > 0
              ? <ol className="cards lessons" lang={from}>{lessons.map((n) => <li key={n.path}><a className="card" {...link(n.path)}><b className="no" aria-hidden="true">{/\d\d/.exec(n.path)?.[0]}</b><span className="ct">{visible(n.title)}</span><span className="cs">{visible(n.says)}</span></a></li>)}</ol>
              : <p className="muted">{t("This folder holds no lessons. flowlab lab opens a folder with all of them.")}</p>}
          </section>
          <section aria-labelledby="fl-start-recent">
            <div className="head"><h2 id="fl-start-recent">{t("Recent graphs")}</h2></div>
            {contents.recent.length > 0
              ? <ul className="cards small">{contents.recent.map((r) => <li key={r.path}><button type="button" className="card" disabled={busy} title={visible(r.path)} onClick={begin({ graph: r.path })}><Drawing picture={r.picture} /><span className="ct">{visible(r.name)}</span><span className="cs">{r.when}</span></button></li>)}</ul>
              : <p className="muted">{t("Graphs that you save in the lab are found again here.")}</p>}
          </section>
          <section aria-labelledby="fl-start-templates">
            <div className="head"><h2 id="fl-start-templates">{t("Templates")}</h2><p className="muted">{t("Each opens in a new notebook, with numbers to run it.")}</p></div>
            <ul className="cards">{contents.templates.map((e) => <li key={e.name}><button type="button" className="card" disabled={busy} data-template={e.name} onClick={begin({ template: e.name })}><Drawing picture={e.picture} /><span className="ct">{visible(told(e.label))}</span><span className="cs">{visible(told(e.says))}</span></button></li>)}</ul>
          </section>
          {contents.notebooks.length > 0 && <section aria-labelledby="fl-start-mine">
            <div className="head"><h2 id="fl-start-mine">{t("Your notebooks")}</h2></div>
            <ul className="plain">{contents.notebooks.slice(0, MOST_NOTEBOOKS).map((n) => <li key={n.path}><a {...link(n.path)}><Icon name="file" size={13} /> {visible(n.path)}</a></li>)}</ul>
          </section>}
        </>}
      </main>
    </div>
  );
}

/** The mark: two inputs that meet in a node. */
function Mark() {
  return (
    <svg className="mark" width="34" height="34" viewBox="0 0 34 34" aria-hidden="true" fill="none" strokeLinecap="round">
      <path d="M8 9C17 9 14 17 22 17M8 25C17 25 14 17 22 17" stroke="var(--fl-line-strong)" strokeWidth="1.75" />
      <circle cx="7" cy="9" r="3.5" fill="var(--fl-op-input)" /><circle cx="7" cy="25" r="3.5" fill="var(--fl-op-state)" /><rect x="20" y="11.5" width="11" height="11" rx="3" fill="var(--fl-accent)" />
    </svg>
  );
}

const W = 26, H = 20, DX = 40, DY = 30, PAD = 6;

/** A graph in small: a box with the icon of its category for each node or scope. */
export function Drawing({ picture }: { picture: Picture | null }) {
  if (!picture) return <span className="drawing" aria-hidden="true"><Icon name="branch" size={22} /></span>;
  // what stands in one line, and has a wire over its heads, leaves room for that
  const arched = picture.edges.some(([a, b]) => over(picture, a, b));
  const top = PAD + (arched ? 12 : 0);
  const width = 2 * PAD + (picture.columns - 1) * DX + W, height = top + PAD + (picture.rows - 1) * DY + H + (arched ? 2 : 0);
  const x = (i: number) => PAD + picture.nodes[i][0] * DX, y = (i: number) => top + picture.nodes[i][1] * DY;
  return (
    <span className="drawing" aria-hidden="true">
      <svg viewBox={`0 0 ${width} ${height}`} style={{ maxWidth: width }} fill="none">
        {picture.edges.map(([a, b]) => {
          const [x0, y0, x1, y1] = [x(a) + W, y(a) + H / 2, x(b), y(b) + H / 2];
          const bend = Math.max((x1 - x0) / 2, 8);
          return <path key={`${a} ${b}`} className="wire" d={over(picture, a, b) ? `M${x(a) + W / 2} ${y(a)}C${x0} ${y(a) - 16} ${x1} ${y(b) - 16} ${x(b) + W / 2} ${y(b)}` : `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`} />;
        })}
        {picture.nodes.map(([, , category, folded], i) => (
          <g key={i} className={`c-${category}`} transform={`translate(${x(i)} ${y(i)})`}>
            {folded && <rect className="behind" x="3" y="-3" width={W} height={H} rx="5" />}
            <rect className="box" width={W} height={H} rx={category === "input" ? 10 : 5} />
            <svg x={(W - 12) / 2} y={(H - 12) / 2} width="12" height="12" viewBox="0 0 14 14" overflow="visible"><Icon name={categoryIcon(category)} /></svg>
          </g>
        ))}
      </svg>
    </span>
  );
}

/** Would a wire lead through boxes of its own line? */
const over = (p: Picture, a: number, b: number): boolean =>
  p.nodes[a][1] === p.nodes[b][1] && p.nodes.some((n) => n[1] === p.nodes[a][1] && n[0] > p.nodes[a][0] && n[0] < p.nodes[b][0]);
