// The start page as a tab of JupyterLab and of Notebook 7's list of files. The page loads it as an extension (flowlab/server.py), and takes it as a container of
// modules: `init` is given what the page shares, `get` answers with a plugin.
import type { Host } from "./index";

type Shared = Record<string, Record<string, { get(): Promise<() => unknown> }>>;
type Widget = { id: string; node: HTMLElement; title: { label: string; closable: boolean; icon?: unknown }; isDisposed: boolean; disposed: { connect(f: () => void): void }; dispose(): void; onCloseRequest(): void };
type Commands = { addCommand(id: string, options: object): void; execute(id: string, args?: object): Promise<unknown> };
type App = { commands: Commands; restored: Promise<void>; shell: { currentWidget: unknown; add(widget: Widget, area: string, options?: object): void; activateById(id: string): void } };
type Tokens = { ILauncher?: unknown; ICommandPalette?: unknown; IMainMenu?: unknown; INotebookTree?: unknown };

const COMMAND = "flowlab:start";
const CLOSED = "flowlab:start-closed";
const ICON = '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 34 34" fill="none"><path class="jp-icon3" d="M8 9C17 9 14 17 22 17M8 25C17 25 14 17 22 17" stroke="#616161" stroke-width="2.5"/><circle cx="7" cy="9" r="4" fill="#047199"/><circle cx="7" cy="25" r="4" fill="#7f6404"/><rect x="20" y="11" width="12" height="12" rx="3" fill="#1360be"/></svg>';

let scope: Shared = {};

/** A module that the page shares; null where there is none of that name. */
async function shared(name: string): Promise<Record<string, never> | null> {
  const versions = scope[name];
  const latest = versions && Object.keys(versions).sort((a, b) => a.localeCompare(b, undefined, { numeric: true })).at(-1);
  return latest === undefined ? null : (await versions[latest].get())() as Record<string, never>;
}

async function plugin() {
  const [launcher, apputils, menu, tree, config, ui, widgets] = await Promise.all(
    ["@jupyterlab/launcher", "@jupyterlab/apputils", "@jupyterlab/mainmenu", "@jupyter-notebook/tree", "@jupyterlab/coreutils", "@jupyterlab/ui-components", "@lumino/widgets"].map(shared)) as Record<string, never>[];
  const PageConfig = config.PageConfig as { getBaseUrl(): string; getToken(): string; getOption(name: string): string };
  const Widget = widgets.Widget as new () => Widget;
  const icon = new (ui.LabIcon as new (o: object) => unknown)({ name: "flowlab:start", svgstr: ICON });
  const tokens = { ILauncher: launcher?.ILauncher, ICommandPalette: apputils?.ICommandPalette, IMainMenu: menu?.IMainMenu, INotebookTree: tree?.INotebookTree } as Tokens;
  const there = (Object.keys(tokens) as (keyof Tokens)[]).filter((k) => tokens[k] !== undefined);
  const notebookApp = PageConfig.getOption("notebookPage") !== "";

  const activate = (app: App, ...found: unknown[]) => {
    const given = Object.fromEntries(there.map((k, i) => [k, found[i]])) as Record<keyof Tokens, never>;
    const base = new URL(PageConfig.getBaseUrl()).pathname;
    const inPath = (path: string) => path.split("/").map(encodeURIComponent).join("/");
    const host: Host = {
      base, token: PageConfig.getToken(), href: (path) => `${base}${notebookApp ? "notebooks/" : "lab/tree/"}${inPath(path)}`,
      open: async (path, run) => {
        if (notebookApp) { window.open(host.href(path), "_blank"); return; }
        const panel = await app.commands.execute("docmanager:open", { path }) as { context?: { ready: Promise<void> }; sessionContext?: { ready: Promise<void> } } | undefined;
        if (!run || !panel?.context || !panel.sessionContext) return;
        await Promise.all([panel.context.ready, panel.sessionContext.ready]);
        if (app.shell.currentWidget !== panel) return;      // the command runs whatever notebook is in front, which may be another by now
        await app.commands.execute("notebook:run-all-cells");
      },
    };
    let tab: Widget | null = null;
    const make = (): Widget => {
      const made = new Widget();
      made.id = "flowlab-start-tab";
      Object.assign(made.title, { label: "flowlab", icon, closable: !given.INotebookTree });
      made.node.classList.add("fl-start-tab");
      const sheet = document.createElement("link");
      sheet.rel = "stylesheet";
      sheet.href = `${base}flowlab/static/start.css`;
      made.node.append(sheet);
      const place = made.node.appendChild(document.createElement("div"));
      let unmount = () => undefined as void;
      void import(`${window.location.origin}${base}flowlab/static/start.js`).then(({ mount }: typeof import("./index")) => { if (!made.isDisposed) unmount = mount(place, host); });
      made.onCloseRequest = () => made.dispose();     // by itself it would only be taken out of the page
      made.disposed.connect(() => { unmount(); tab = null; sessionStorage.setItem(CLOSED, "true"); });
      return made;
    };
    const show = (activated: boolean) => {
      if (!tab) {
        tab = make();
        if (given.INotebookTree) (given.INotebookTree as { addWidget(w: Widget): void }).addWidget(tab);
        else app.shell.add(tab, "main", { mode: "tab-after", activate: activated });
      }
      if (activated) app.shell.activateById(tab.id);
    };
    if (given.INotebookTree) { void app.restored.then(() => show(false)); return; }
    if (notebookApp) return;        // one notebook, which has no place for a tab
    app.commands.addCommand(COMMAND, { label: "flowlab", caption: "Lessons, recent graphs and templates", icon, execute: () => { sessionStorage.removeItem(CLOSED); show(true); } });
    if (given.ILauncher) (given.ILauncher as { add(o: object): void }).add({ command: COMMAND, category: "Other", rank: 0 });
    if (given.ICommandPalette) (given.ICommandPalette as { addItem(o: object): void }).addItem({ command: COMMAND, category: "Help" });
    if (given.IMainMenu) (given.IMainMenu as { helpMenu: { addGroup(items: object[], rank: number): void } }).helpMenu.addGroup([{ command: COMMAND }], 0);
    // beside what `flowlab lab` opens, unless it was closed in this window
    if (PageConfig.getOption("flowlabStart") && !sessionStorage.getItem(CLOSED)) void app.restored.then(() => show(false));
  };
  return { id: "flowlab:start", autoStart: true, optional: there.map((k) => tokens[k]), activate };
}

const page = window as unknown as { _JUPYTERLAB?: Record<string, unknown> };
(page._JUPYTERLAB ??= {}).flowlab = {
  init: (given: Shared) => { scope = given; },
  get: async () => { const made = await plugin(); return () => ({ __esModule: true, default: made }); },
};
