// Words of the screen: English sentences in the sources, and a book for each other language that says them again.
//
// `t("Removed {name}.", { name })` in a component; `told(text)` for a finished sentence, from the kernel or from a status: it is found by its template.
// A component draws again when the language changes if it calls `useLanguage` (in the lab `useLab` and `useLabState` do that).
import * as React from "react";
import { Icon } from "../icons";
import { activeIn } from "../tree";
import type { Model } from "../wire";
import "./words.css";
import opsTW from "./ops.zh-TW.json";
import zhCN from "./zh-CN.json";
import zhTW from "./zh-TW.json";

export type Language = "en" | "zh-CN" | "zh-TW";
/** English key, its places in braces → the same in another language. `{label!}` says that what stands there is a sentence too. */
export type Book = Readonly<Record<string, string>>;
export type Values = Readonly<Record<string, string | number>>;

export const LANGUAGES: readonly { tag: Language; name: string }[] = [{ tag: "en", name: "English" }, { tag: "zh-CN", name: "简体中文" }, { tag: "zh-TW", name: "繁體中文" }];
export const BOOKS: Readonly<Record<Exclude<Language, "en">, Book>> = { "zh-CN": zhCN, "zh-TW": zhTW };

/** 简体 words of operations → 繁體. Each operation declares the first beside its English name. */
export const TRADITIONAL: Book = opsTW;

/** An operation's own word in the language of the screen; none in English, where its name is one. */
export function opWord(op: { label_zh: string } | undefined): string {
  if (!op || current === "en") return "";
  return current === "zh-TW" ? TRADITIONAL[op.label_zh] ?? op.label_zh : op.label_zh;
}

const REMEMBERED = "flowlab:language";
const PLACE = /\{(\w+)(!?)\}/g;

let current: Language = "en";
const listeners = new Set<() => void>();

export const language = (): Language => current;

export function setLanguage(next: Language): void {
  if (next === current) return;
  current = next;
  for (const l of [...listeners]) l();
}

const fill = (sentence: string, values: Values): string =>
  sentence.replace(PLACE, (place, name: string, again: string) => (Object.hasOwn(values, name) ? (again ? told(String(values[name])) : String(values[name])) : place));

const bookOf = (): Book | null => (current === "en" ? null : BOOKS[current]);

/** The sentence in the language of the screen, its places filled. */
export function t(key: string, values: Values = {}): string {
  const book = bookOf();
  return fill(book && Object.hasOwn(book, key) ? book[key] : key, values);
}

/** A sentence with a number: English tells one from many, Chinese does not. `{n}` is the number. */
export function tn(n: number, one: string, many: string, values: Values = {}): string {
  return t(current === "en" && n === 1 ? one : many, { n: n.toLocaleString("en-US"), ...values });
}

/** A sentence with elements in its places. */
export function tx(key: string, nodes: Readonly<Record<string, React.ReactNode>>): React.ReactNode {
  const sentence = t(key);
  const out: React.ReactNode[] = [];
  let at = 0;
  for (const m of sentence.matchAll(PLACE)) {
    out.push(sentence.slice(at, m.index), <React.Fragment key={m.index}>{nodes[m[1]]}</React.Fragment>);
    at = m.index + m[0].length;
  }
  out.push(sentence.slice(at));
  return out;
}

// ---------------------------------------------------------------- finished sentences

/** What may stand in a place: `{n}` is a number, every other name is for anything. */
const NUMBER = "([−+-]?\\d[\\d.,e+−-]*)";
const ANYTHING = "([\\s\\S]+?)";

type Template = { key: string; shape: RegExp; places: string[]; literal: number };

/** Templates by one of their words, so that a sentence is held against a few of them; those without a word under "". */
function indexed(book: Book): Map<string, Template[]> {
  const out = new Map<string, Template[]>();
  for (const key of Object.keys(book)) {
    const literals = key.split(/\{\w+\}/);
    if (literals.length < 2 || !/\p{L}/u.test(literals.join(""))) continue;
    const places = [...key.matchAll(PLACE)].map((m) => m[1]);
    const quoted = literals.map((l) => l.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
    const shape = new RegExp(`^${quoted.map((l, i) => (i === 0 ? l : `${places[i - 1] === "n" ? NUMBER : ANYTHING}${l}`)).join("")}$`, "iu");
    // a word that touches a place may go on in what stands there
    const whole = literals.flatMap((l, i) => wordsOf(i > 0 ? l.replace(/^[\p{L}\p{N}]+/u, "") : l).filter((w, k, all) => i === literals.length - 1 || k < all.length - 1 || !/[\p{L}\p{N}]$/u.test(l)));
    const word = whole.sort((a, b) => b.length - a.length)[0] ?? "";
    const made = { key, shape, places, literal: literals.join("").length };
    if (!out.has(word)) out.set(word, []);
    out.get(word)?.push(made);
  }
  return out;
}

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

type Memory = { exact: Map<string, string>; index: Map<string, Template[]>; said: Map<string, string> };
const memories = new Map<Book, Memory>();
const MOST = 2000;      // sentences that are remembered, and letters that a sentence may have to be looked up

function memoryOf(book: Book): Memory {
  let m = memories.get(book);
  if (!m) {
    m = { exact: new Map(Object.entries(book).map(([k, v]) => [k.toLowerCase(), v])), index: indexed(book), said: new Map() };
    memories.set(book, m);
  }
  return m;
}

/** A finished English sentence in the language of the screen. What no template fits stays as it is. */
export function told(text: string): string {
  const book = bookOf();
  if (!book || text === "" || text.length > MOST) return text;
  const { said } = memoryOf(book);
  let found = said.get(text);
  if (found === undefined) {
    found = look(text, memoryOf(book));
    if (said.size >= MOST) said.clear();
    said.set(text, found);
  }
  return found;
}

function look(text: string, memory: Memory): string {
  // a place may hold anything: what is several known sentences is not one long one
  const parts = text.split(/(?<=[.?!…]) (?=[\p{Lu}"'])|\n/u);
  if (parts.length > 1) {
    const each = parts.map((p) => match(p, memory));
    if (each.every((p) => p !== null)) return each.join("");
    return match(text, memory) ?? parts.map(told).join(" ");
  }
  const whole = match(text, memory);
  if (whole !== null) return whole;
  const at = text.indexOf(": ");
  if (at > 0 && at < 80) {
    const rest = match(text.slice(at + 2), memory) ?? (text.indexOf(": ", at + 2) > 0 ? told(text.slice(at + 2)) : null);
    if (rest !== null && rest !== text.slice(at + 2)) return `${text.slice(0, at)}：${rest}`;
  }
  // a word of the book that ends a sentence: "Cut wire."
  if (text.endsWith(".")) {
    const said = match(text.slice(0, -1), memory);
    if (said !== null) return `${said}。`;
  }
  return text;
}

function match(text: string, { exact, index }: Memory): string | null {
  const same = exact.get(text.toLowerCase());
  if (same !== undefined) return same;
  const candidates = [...new Set([...wordsOf(text), ""])].flatMap((w) => index.get(w) ?? []);
  let best: { template: Template; values: RegExpExecArray } | null = null;
  for (const template of candidates) {
    if (best && template.literal <= best.template.literal) continue;
    const values = template.shape.exec(text);
    if (values) best = { template, values };
  }
  if (!best) return null;
  const { template, values } = best;
  return t(template.key, Object.fromEntries(template.places.map((p, i) => [p, values[i + 1]])));
}

// ---------------------------------------------------------------- which language

/** The language that a tag asks for; null for one that is not here. */
export function languageOf(tag: string): Language | null {
  if (/^zh\b/i.test(tag.replace("_", "-"))) return /hant|tw|hk|mo/i.test(tag) ? "zh-TW" : "zh-CN";
  return /^en\b/i.test(tag.replace("_", "-")) ? "en" : null;
}

function remembered(): Language | null {
  try {
    return languageOf(localStorage.getItem(REMEMBERED) ?? "");
  } catch {
    return null;    // a page that may not store
  }
}

/** What this widget starts in: what Python asked for, what was chosen last, the notebook's language, the browser's. */
function wanted(model: Model): Language {
  const page = languageOf(document.documentElement.lang);
  return languageOf(String(model.get("language") ?? "")) ?? remembered() ?? (page === "en" ? null : page) ?? navigator.languages.map(languageOf).find((l) => l !== null) ?? "en";
}

/** A person's choice: for this widget, the others of the page, and the next time. */
function choose(model: Model, next: Language): void {
  try {
    localStorage.setItem(REMEMBERED, next);
  } catch {
    // it holds until the page is left
  }
  window.dispatchEvent(new CustomEvent(REMEMBERED, { detail: next }));
  if (model.get("language") !== next) {
    model.set("language", next);
    model.save_changes();
  }
}

const LanguageContext = React.createContext<{ language: Language; choose(next: Language): void }>({ language: "en", choose: setLanguage });

/** The language of the screen; whoever asks draws again when it changes. */
export const useLanguage = (): Language => React.useContext(LanguageContext).language;

/** Around a widget: keeps its language, the model's trait and the page's choice together. */
export function Words({ model, children }: { model: Model; children: React.ReactNode }) {
  // before anything is drawn
  React.useState(() => { setLanguage(wanted(model)); });
  const now = React.useSyncExternalStore((l) => { listeners.add(l); return () => void listeners.delete(l); }, language);
  React.useEffect(() => {
    const fromPython = () => setLanguage(wanted(model));
    const fromPage = (e: Event) => {
      const next = (e as CustomEvent<Language>).detail;
      if (model.get("language")) { model.set("language", next); model.save_changes(); }
      setLanguage(next);
    };
    model.on("change:language", fromPython);
    window.addEventListener(REMEMBERED, fromPage);
    return () => {
      model.off("change:language", fromPython);
      window.removeEventListener(REMEMBERED, fromPage);
    };
  }, [model]);
  const value = React.useMemo(() => ({ language: now, choose: (next: Language) => choose(model, next) }), [model, now]);
  return <LanguageContext.Provider value={value}>{children}</LanguageContext.Provider>;
}

/** The control: a button that opens the languages, each under its own name. No list of options: those are what a search finds. */
export function LanguageChoice() {
  const { language: now, choose: take } = React.useContext(LanguageContext);
  const [open, setOpen] = React.useState(false);
  const box = React.useRef<HTMLSpanElement>(null);
  const button = React.useRef<HTMLButtonElement>(null);
  React.useEffect(() => { if (open) box.current?.querySelector<HTMLElement>('[aria-checked="true"]')?.focus(); }, [open]);
  const close = () => { setOpen(false); button.current?.focus(); };
  const onKeyDown = (e: React.KeyboardEvent) => {
    const items = [...(box.current?.querySelectorAll<HTMLElement>('[role="menuitemradio"]') ?? [])];
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (!open) return;
    if (by !== undefined) items[(items.indexOf(activeIn(box.current) as HTMLElement) + by + items.length) % items.length]?.focus();
    else if (e.key === "Escape") close();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <span className="fl-language" ref={box} onKeyDown={onKeyDown} onBlur={(e) => { if (!box.current?.contains(e.relatedTarget as Node | null)) setOpen(false); }}>
      <button type="button" ref={button} aria-label={t("Language")} title={t("Language")} aria-haspopup="menu" aria-expanded={open} onClick={() => setOpen(!open)}><Icon name="language" size={14} /></button>
      {open && (
        <div className="fl-languages" role="menu" aria-label={t("Language")}>
          {LANGUAGES.map((l) => (
            <button key={l.tag} type="button" role="menuitemradio" aria-checked={l.tag === now} tabIndex={-1} lang={l.tag} onClick={() => { take(l.tag); close(); }}>
              <span aria-hidden="true">{l.tag === now ? "✓" : ""}</span>{l.name}
            </button>
          ))}
        </div>
      )}
    </span>
  );
}
