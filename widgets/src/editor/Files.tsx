// The document's file: the menu, what opens and saves, and what is said when something else has changed the file or the way to the kernel is broken.
import * as React from "react";
import { download } from "../shared/download";
import { Icon, type IconName } from "../shared/icons";
import type { FileRow } from "../protocol.gen";
import { activeIn } from "../shared/tree";
import { t, told } from "../shared/words";
import { visible } from "./geometry";
import { keptText } from "./keep";
import { exported } from "./picture";
import { type Lab, type State, useLab, useLabState } from "./store";

const LARGEST = 8 * 2 ** 20;    // characters that one message to the kernel carries
const RECENT = 5;               // recent files in the menu; the list has more
const TYPED = 120;              // ms without a key before a name is looked at

// ---------------------------------------------------------------- what is done

export function askToOpen(lab: Lab): void {
  lab.set({ panel: "open", pending: null, wire: null });
}

export function askToSave(lab: Lab): void {
  lab.set({ panel: "save as", nameCheck: null, pending: null, wire: null });
}

/** Asks for a recorded run: to go through, or to compare with the one on show. */
export function askForRun(lab: Lab, what: "open run" | "compare run"): void {
  lab.set({ panel: what, files: null, pending: null, wire: null });
}

function askToSaveClass(lab: Lab): void {
  lab.set({ panel: "save class", nameCheck: null, pending: null, wire: null });
}

function askToSaveRun(lab: Lab): void {
  lab.set({ panel: "save run", nameCheck: null, pending: null, wire: null });
}

/** Saves to the document's file, or under its title; where something stands in the way, asks for a name. */
export async function save(lab: Lab): Promise<void> {
  const fresh = !lab.state.file?.path;
  const title = (lab.state.scene?.title || "graph").slice(0, 60);
  if (!await lab.command("save", fresh ? { node: title } : {}) && fresh && lab.state.link === "up") askToSave(lab);
}

/** Opens a file of the person's own machine. */
export async function openFile(lab: Lab, file: File): Promise<void> {
  if (file.size > LARGEST) return lab.alert(`${file.name} is larger than a page can send.`, "Put it into the notebook's folder, and open it from there.");
  await openText(lab, file.name, await file.text());
}

export async function openText(lab: Lab, name: string, text: string): Promise<void> {
  lab.set({ panel: null });
  if (await lab.request({ type: "open_text", name, text })) lab.view?.fit();
}

function pickFile(lab: Lab): void {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".json,application/json";
  input.onchange = () => { const file = input.files?.[0]; if (file) void openFile(lab, file); };
  input.click();
}

async function openPath(lab: Lab, path: string, command: "open" | "open_run" | "compare_run" = "open"): Promise<void> {
  lab.set({ panel: null });
  lab.back();
  if (command === "compare_run") lab.select([]);     // the comparison stands where nothing is selected
  if (await lab.command(command, { node: path }) && command !== "compare_run") lab.view?.fit();
}

const stem = (lab: Lab): string => (lab.state.file?.name.replace(/(\.flow)?\.json$/, "") || lab.state.scene?.title || "graph").replace(/[^\p{L}\p{N}_ .()-]+/gu, "_").slice(0, 80);

export async function exportAs(lab: Lab, kind: "png" | "svg"): Promise<void> {
  const blob = lab.root && await exported(lab.state, lab.root, kind);
  if (!blob) return lab.say("There is nothing to draw yet: the canvas is empty.");
  download(blob, `${stem(lab)}.${kind}`);
  lab.say(`Exported ${stem(lab)}.${kind}.`);
}

// ---------------------------------------------------------------- the menu

type Item = { label: string; icon?: IconName; keys?: string; note?: string; checked?: boolean; disabled?: boolean; section: string; run(): void };

export function FileMenu() {
  const lab = useLab();
  const file = useLabState((s) => s.file);
  const link = useLabState((s) => s.link);
  const [open, setOpen] = React.useState(false);
  const box = React.useRef<HTMLDivElement>(null);
  const button = React.useRef<HTMLButtonElement>(null);
  const show = (on: boolean) => { setOpen(on); if (on) lab.quiet({ type: "ask_files" }); };
  const trouble = link !== "up" || (file !== null && file.trouble !== "");
  return (
    <div className="filem" ref={box} onBlur={(e) => { if (!box.current?.contains(e.relatedTarget as Node | null)) setOpen(false); }}>
      <button
        type="button" className={`cbn${open ? " on" : ""}`} ref={button} aria-label={t("File")} aria-haspopup="menu" aria-expanded={open} title={`${t("File")}: ${stateOf(file, link)}`}
        onClick={() => show(!open)} onKeyDown={(e) => { if (e.key === "ArrowDown") { e.preventDefault(); show(true); } }}
      >
        <Icon name="file" /><Icon name="chevronDown" size={9} />{trouble && <i className="dot" aria-hidden="true" />}
      </button>
      {open && <Menu close={(back) => { setOpen(false); if (back) button.current?.focus(); }} />}
    </div>
  );
}

function stateOf(file: State["file"], link: State["link"]): string {
  if (link === "gone") return t("the kernel is gone");
  if (link === "down") return t("waiting for the connection");
  if (!file?.path) return t("not saved yet");
  if (file.trouble) return t("not saved");
  return file.dirty ? t("changed") : t("saved {when}", { when: file.saved });
}

function Menu({ close }: { close(back: boolean): void }) {
  const lab = useLab();
  const file = useLabState((s) => s.file);
  const link = useLabState((s) => s.link);
  const files = useLabState((s) => s.files);
  const empty = useLabState((s) => (s.scene?.total ?? 0) === 0 && !s.scene?.notes.length);
  const fired = useLabState((s) => s.run.cursor > 0);
  const list = React.useRef<HTMLDivElement>(null);
  const away = link !== "up" || lab.inFile;
  const recent = (files?.kind === "graph" ? files.rows : []).filter((r) => r.recent).slice(0, RECENT);
  const items: Item[] = [
    { section: "open", label: t("New"), icon: "add", disabled: away, run: () => void lab.command("new") },
    { section: "open", label: t("Open…"), keys: "Ctrl+O", disabled: away, run: () => askToOpen(lab) },
    { section: "open", label: t("Open from this computer…"), disabled: away, run: () => pickFile(lab) },
    ...recent.map((r): Item => ({ section: "recent", label: visible(r.name.replace(/\.flow\.json$/, "")), note: r.place ? visible(r.place) : r.when, disabled: away, run: () => void openPath(lab, r.path) })),
    { section: "save", label: t("Save"), icon: "save", keys: "S", disabled: away, run: () => void save(lab) },
    { section: "save", label: t("Save as…"), keys: "Ctrl+Shift+S", disabled: away, run: () => askToSave(lab) },
    { section: "save", label: t("Autosave"), note: file?.path ? "" : t("once it has a file"), checked: file?.autosave ?? true, disabled: away, run: () => void lab.command(file?.autosave ? "autosave_off" : "autosave_on") },
    { section: "run", label: t("Save for the class…"), icon: "lecture", note: t("opens where you are"), disabled: away || empty, run: () => askToSaveClass(lab) },
    { section: "run", label: t("Open a recorded run…"), icon: "play", disabled: away, run: () => askForRun(lab, "open run") },
    { section: "run", label: t("Save this run…"), note: fired ? "" : t("nothing has fired"), disabled: away || !fired, run: () => askToSaveRun(lab) },
    { section: "run", label: t("Compare with a recorded run…"), note: fired ? "" : t("nothing has fired"), disabled: away || !fired, run: () => askForRun(lab, "compare run") },
    { section: "export", label: t("Export PNG"), disabled: empty, run: () => void exportAs(lab, "png") },
    { section: "export", label: t("Export SVG"), disabled: empty, run: () => void exportAs(lab, "svg") },
  ];
  const enabled = () => [...(list.current?.querySelectorAll<HTMLElement>("[role^=menuitem]:not([aria-disabled=true])") ?? [])];
  React.useEffect(() => { enabled()[0]?.focus(); }, []);
  const onKeyDown = (e: React.KeyboardEvent) => {
    e.stopPropagation();
    const all = enabled();
    const at = all.indexOf(activeIn(e.currentTarget) as HTMLElement);
    const to = (i: number) => { e.preventDefault(); all[(i + all.length) % all.length]?.focus(); };
    if (e.key === "ArrowDown") to(at + 1);
    else if (e.key === "ArrowUp") to(at - 1);
    else if (e.key === "Home") to(0);
    else if (e.key === "End") to(-1);
    else if (e.key === "Escape") { e.preventDefault(); close(true); }
    else if (e.key === "Tab") close(false);
    else if (e.key.length === 1 && !e.ctrlKey && !e.metaKey && !e.altKey && e.key !== " ") {
      const next = [...all.slice(at + 1), ...all.slice(0, at + 1)].find((el) => el.textContent?.trim().toLowerCase().startsWith(e.key.toLowerCase()));
      if (next) { e.preventDefault(); next.focus(); }
    }
  };
  const groups = [...new Set(items.map((i) => i.section))];
  return (
    <div className="menu" role="menu" aria-label={t("File")} ref={list} onKeyDown={onKeyDown}>
      <div className="mhead"><b>{file?.path ? visible(file.name) : t("Not in a file yet")}</b><span className={file?.trouble ? "bad" : "muted"}>{file?.path ? `${stateOf(file, link)} · ${visible(file.folder)}` : t("the notebook's output keeps it")}</span></div>
      {groups.map((g) => (
        <div role="group" aria-label={g === "recent" ? t("Recent") : undefined} className="mg" key={g}>
          {g === "recent" && <div className="mt">{t("Recent")}</div>}
          {items.filter((i) => i.section === g).map((i) => (
            <button
              key={`${i.label} ${i.note ?? ""}`} type="button" role={i.checked === undefined ? "menuitem" : "menuitemcheckbox"} aria-checked={i.checked} aria-disabled={i.disabled} tabIndex={-1} className="mi" aria-keyshortcuts={i.keys}
              onClick={() => { if (i.disabled) return; close(true); i.run(); }} onMouseEnter={(e) => { if (!i.disabled) e.currentTarget.focus(); }}
            >
              <span className="mx">{i.checked ? <Icon name="check" size={12} /> : i.icon ? <Icon name={i.icon} size={12} /> : null}</span>
              <span className="ml">{i.label}</span>{i.note && <small>{i.note}</small>}{i.keys && <kbd aria-hidden="true">{i.keys}</kbd>}
            </button>
          ))}
        </div>
      ))}
    </div>
  );
}

/** Beside the title: is what is on the canvas in its file? */
export function Kept() {
  const file = useLabState((s) => s.file);
  const link = useLabState((s) => s.link);
  const total = useLabState((s) => s.scene?.total ?? 0);
  if (!file || !file.path && !total) return null;
  const bad = file.trouble !== "" || link === "gone";
  return <span className={bad ? "bad" : "muted"} title={file.trouble ? visible(told(file.why)) : visible(file.path ?? "")}>{file.path ? `${visible(file.name)} · ` : ""}{file.trouble === "failed" ? t("not saved: {why}", { why: visible(told(file.why)) }) : stateOf(file, link)}</span>;
}

// ---------------------------------------------------------------- open

/** What a list of files is for: its heading, what it says when there are none, and what choosing one does. */
const LISTS = {
  "open": { kind: "graph", title: "Open a graph", label: "Graph files", none: "There is no graph file here yet: Save makes one.", command: "open" },
  "open run": { kind: "run", title: "Open a recorded run", label: "Recorded runs", none: "There is no recorded run here yet: Save this run… in the menu File makes one, and trace.save(\"name.trace\") in Python.", command: "open_run" },
  "compare run": { kind: "run", title: "Compare with a recorded run", label: "Recorded runs", none: "There is no recorded run here yet: Save this run… in the menu File makes one, and trace.save(\"name.trace\") in Python.", command: "compare_run" },
} as const;

export function OpenSheet() {
  const panel = useLabState((s) => s.panel);
  return panel === "open" || panel === "open run" || panel === "compare run" ? <OpenList key={panel} what={panel} /> : null;
}

function OpenList({ what }: { what: keyof typeof LISTS }) {
  const lab = useLab();
  const { kind, title, label, none, command } = LISTS[what];
  const all = useLabState((s) => s.files);
  const files = all?.kind === kind ? all : null;
  const [text, setText] = React.useState("");
  const [active, setActive] = React.useState(0);
  const list = React.useRef<HTMLUListElement>(null);
  const id = React.useId();
  React.useEffect(() => lab.quiet({ type: "ask_files", kind }), [lab, kind]);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = (files?.rows ?? []).filter((r) => { const all = `${r.place}/${r.name}`.toLowerCase(); return words.every((w) => all.includes(w)); });
  const close = () => { lab.set({ panel: null }); lab.back(); };
  const take = (r: FileRow | undefined) => { if (r) void openPath(lab, r.path, command); };
  React.useEffect(() => { list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" }); }, [active]);
  return (
    <div className="sheet files" role="dialog" aria-label={kind === "graph" ? t("Open") : t(title)}>
      <div className="sh"><h2>{t(title)}</h2><button type="button" className="x" aria-label={t("Close")} onClick={close}><Icon name="close" size={11} /></button></div>
      <input
        className="tf" type="text" role="combobox" aria-label={kind === "graph" ? t("Open") : t(title)} placeholder={t("Filter by name or folder")} aria-expanded={rows.length > 0} aria-controls={rows.length ? id : undefined} aria-activedescendant={rows.length ? `${id}-${active}` : undefined} autoFocus autoComplete="off" spellCheck={false}
        value={text} onChange={(e) => { setText(e.target.value); setActive(0); }}
        onKeyDown={(e) => {
          if (e.nativeEvent.isComposing) return;
          if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); setActive((i) => Math.max(0, Math.min(rows.length - 1, i + (e.key === "ArrowDown" ? 1 : -1)))); }
          else if (e.key === "Enter") { e.preventDefault(); take(rows[active]); }
          else if (e.key === "Escape") { e.preventDefault(); e.stopPropagation(); close(); }
        }}
      />
      {rows.length === 0 && <p className="hits none muted" role="status">{files === null ? t("Looking…") : text ? t("No file is called that.") : t(none)}</p>}
      {rows.length > 0 && <ul className="hits" role="listbox" ref={list} id={id} aria-label={t(label)}>
        {rows.map((r, i) => (
          <li key={r.path} role="option" id={`${id}-${i}`} aria-selected={i === active} className={i === active ? "sel" : ""} title={visible(r.path)} onMouseDown={(e) => e.preventDefault()} onClick={() => take(r)}>
            <Icon name="file" size={12} className="ci" /><span className="hn">{visible(r.name)}{r.place && <small>{visible(r.place)}</small>}</span><span className="ho">{r.recent ? `${t("recent")} · ` : ""}{r.when}</span>
          </li>
        ))}
      </ul>}
      <div className="foot">
        <span className="muted f1" title={visible(files?.folder ?? "")}>{files ? t(files.more ? "{folder} and below; there are more than are shown" : "{folder} and below", { folder: visible(files.folder) }) : ""}</span>
        {kind === "graph" && <button type="button" className="bt" onClick={() => pickFile(lab)}>{t("From this computer…")}</button>}
      </div>
    </div>
  );
}

// ---------------------------------------------------------------- save as

export function SaveSheet() {
  const panel = useLabState((s) => s.panel);
  return panel === "save as" || panel === "save run" || panel === "save class" ? <SaveForm key={panel} kind={panel === "save run" ? "run" : panel === "save class" ? "lecture" : "graph"} /> : null;
}

const SAVES = { graph: ["Save as", "save_as", "replace"], run: ["Save this run", "save_run", "replace_run"], lecture: ["Save for the class", "save_lecture", "replace_lecture"] } as const;

function SaveForm({ kind }: { kind: keyof typeof SAVES }) {
  const lab = useLab();
  const [heading, store, replace] = SAVES[kind];
  const title = t(heading);
  const check = useLabState((s) => s.nameCheck);
  const [name, setName] = React.useState(() => stem(lab));
  const now = check !== null && check.name === name ? check : null;
  React.useEffect(() => {
    const t = setTimeout(() => lab.quiet({ type: "ask_name", name, kind }), TYPED);
    return () => clearTimeout(t);
  }, [lab, name, kind]);
  const close = () => { lab.set({ panel: null }); lab.back(); };
  const taken = now !== null && now.there !== "";
  const submit = async () => {
    if (now?.problem) return;
    if (await lab.command(taken ? replace : store, { node: name })) close();
    else lab.quiet({ type: "ask_name", name, kind });     // what stands in the way is said under the name
  };
  return (
    <form className="sheet saveas" role="dialog" aria-label={title} onSubmit={(e) => { e.preventDefault(); void submit(); }}>
      <div className="sh"><h2>{title}</h2><button type="button" className="x" aria-label={t("Close")} onClick={close}><Icon name="close" size={11} /></button></div>
      <label>{t("File")}<input
        className="tf m" aria-label={t("File")} autoFocus spellCheck={false} autoComplete="off" value={name} aria-invalid={!!now?.problem} aria-describedby="fl-name-said" onFocus={(e) => e.currentTarget.select()}
        onChange={(e) => setName(e.target.value)} onKeyDown={(e) => { if (e.key === "Escape") { e.stopPropagation(); close(); } }}
      /></label>
      <p id="fl-name-said" aria-live="polite" className={now?.problem || taken ? "said bad" : "said muted"}>{now === null ? " " : now.problem ? visible(told(now.problem)) : taken ? t("{file} is there already: {what}.", { file: visible(now.file), what: visible(told(now.there)) }) : t("{file}, in the notebook's folder", { file: visible(now.file) })}</p>
      <div className="foot">
        <button type="button" className="bt" onClick={close}>{t("Cancel")}</button>
        <button type="submit" className="bt pri" data-filled disabled={!!now?.problem}>{taken ? t("Replace it") : t("Save here")}</button>
      </div>
    </form>
  );
}

// ---------------------------------------------------------------- what is wrong, and the ways out

/** Something else has changed the file, or it cannot be written. */
export function FileBar() {
  const lab = useLab();
  const file = useLabState((s) => s.file);
  const link = useLabState((s) => s.link);
  if (!file || file.trouble === "" || link !== "up") return null;
  const answer = (name: "keep_copy" | "take_theirs" | "overwrite" | "save") => () => { void lab.command(name).then((ok) => { if (ok && name === "take_theirs") lab.view?.fit(); }); };
  const name = visible(file.name);
  if (file.trouble === "changed") {
    return (
      <div className="offer gone" role="alert" aria-label={t("The file was changed")}>
        <Icon name="error" size={13} />
        <span><b>{t("{name} was changed by another program", { name })}</b>{t(": {what}.", { what: visible(told(file.why)) })} {file.dirty ? t("What you have here is not in it; autosave waits.") : t("You have changed nothing here since.")}</span>
        <span className="obs">
          <button type="button" className={file.dirty ? "bt pri" : "bt"} data-filled={file.dirty ? "" : undefined} title={t("Save what is here to a file of its own, and go on in that")} onClick={answer("keep_copy")}>{t("Keep mine as a copy")}</button>
          <button type="button" className={file.dirty ? "bt" : "bt pri"} data-filled={file.dirty ? undefined : ""} title={t("Put what the file holds on the canvas; Undo brings back what was here")} onClick={answer("take_theirs")}>{t("Take theirs")}</button>
          <button type="button" className="bt" title={t("Write what is here over what the file holds")} onClick={answer("overwrite")}>{t("Overwrite with mine")}</button>
        </span>
      </div>
    );
  }
  return (
    <div className="offer gone" role="alert" aria-label={t("Not saved")}>
      <Icon name="error" size={13} />
      <span><b>{file.trouble === "gone" ? visible(told(file.why)) : t("{name} is not saved: {why}.", { name, why: visible(told(file.why)) })}</b> {t("What you have here is safe in the lab.")}</span>
      <span className="obs">
        <button type="button" className="bt pri" data-filled onClick={answer("save")}>{file.trouble === "gone" ? t("Save it again") : t("Try again")}</button>
        <button type="button" className="bt" onClick={() => askToSave(lab)}>{t("Save as…")}</button>
      </span>
    </div>
  );
}

/** The way to the kernel is broken for now, or for good. */
export function LinkBar() {
  const lab = useLab();
  const link = useLabState((s) => s.link);
  const lost = useLabState((s) => s.lost);
  const kept = useLabState((s) => s.file?.kept ?? "");
  if (link === "up") return null;
  if (link === "down") return <div className="offer gone" role="alert"><Icon name="error" size={13} /><span><b>{t("Connection lost: your graph is safe.")}</b> {t("What you do now is sent when the connection is back.")}</span></div>;
  const document = kept ? keptText(lab.model, kept) : null;
  return (
    <div className="offer gone" role="alert">
      <Icon name="error" size={13} />
      <span><b>{t("Kernel gone: your graph is safe.")}</b> {t("Run the cell again: it is offered to you there.")}{lost > 0 && ` ${lost === 1 ? t("One change was under way and may be missing.") : t("{n} changes were under way and may be missing.", { n: lost })}`}</span>
      {document && <span className="obs"><button type="button" className="bt" onClick={() => download(new Blob([document.text], { type: "application/json" }), `${stem(lab)}.flow.json`)}>{t("Download it")}</button></span>}
    </div>
  );
}

// ---------------------------------------------------------------- a file that is dropped

const holdsFiles = (e: React.DragEvent): boolean => e.dataTransfer.types.includes("Files");

/** Lets a graph file be dropped onto the lab. */
export function useFileDrop(): { over: boolean; handlers: Pick<React.HTMLAttributes<HTMLElement>, "onDragOver" | "onDragLeave" | "onDrop"> } {
  const lab = useLab();
  const [over, setOver] = React.useState(false);
  return {
    over,
    handlers: {
      onDragOver: (e) => { if (!holdsFiles(e)) return; e.preventDefault(); e.stopPropagation(); e.dataTransfer.dropEffect = "copy"; setOver(true); },
      onDragLeave: (e) => { if (!e.currentTarget.contains(e.relatedTarget as Node | null)) setOver(false); },
      onDrop: (e) => {
        if (!holdsFiles(e)) return;
        e.preventDefault();
        e.stopPropagation();
        setOver(false);
        const file = e.dataTransfer.files[0];
        if (file) void openFile(lab, file);
      },
    },
  };
}
