// A recorded run in one file: the lab and the view into recurrent layers, with what the file holds in the kernel's place.
import * as React from "react";
import { createRoot } from "react-dom/client";
import lab from "../editor";
import lstm from "../lstm";
import { VERSION } from "../protocol.gen";
import { followTheme } from "../shared/color";
import { Icon } from "../shared/icons";
import { GET_KERNEL, NEEDS_KERNEL, needsKernel } from "../shared/live";
import { LanguageChoice, Words, t, tn, useLanguage } from "../shared/words";
import { type Content, unpacked } from "./data";
import { RecordedLab } from "./lab";
import { RecordedLayers } from "./lstm";
import { FileModel } from "./model";
import { Numbers } from "./numbers";
import "./replay.css";

const THEME = "flowlab:theme";
const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const SAYS: Record<Theme, string> = { system: "As the system", light: "Light", dark: "Dark" };

function remembered(): Theme {
  try {
    return THEMES.find((k) => k === localStorage.getItem(THEME)) ?? "system";
  } catch {
    return "system";    // a page that may not store
  }
}

/** The page's theme: the system's until a reader chooses another. */
function useTheme(): [Theme, (next: Theme) => void] {
  const [theme, setTheme] = React.useState(remembered);
  React.useLayoutEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }, [theme]);
  return [theme, (next) => {
    setTheme(next);
    try {
      localStorage.setItem(THEME, next);
    } catch {
      // it holds until the page is left
    }
  }];
}

type Models = { lab: FileModel; lstm: FileModel | null };

function App({ content, models }: { content: Content; models: Models }) {
  const [shown, setShown] = React.useState<"lab" | "lstm">("lab");
  const [theme, setTheme] = useTheme();
  const bar = React.useRef<HTMLElement>(null);
  const hosts = { lab: React.useRef<HTMLDivElement>(null), lstm: React.useRef<HTMLDivElement>(null) };
  const drawn = React.useRef({ lab: false, lstm: false });
  const language = useLanguage();
  React.useLayoutEffect(() => { document.documentElement.lang = language; }, [language]);
  React.useLayoutEffect(() => (bar.current ? followTheme(bar.current) : undefined), []);
  React.useLayoutEffect(() => {
    const resize = () => models.lab.set("height", Math.max(420, window.innerHeight - (bar.current?.offsetHeight ?? 0) - 2));
    resize();
    window.addEventListener("resize", resize);
    return () => window.removeEventListener("resize", resize);
  }, [models, language]);
  // each view is drawn when it is first looked at: before that it has no width
  React.useEffect(() => {
    const model = models[shown];
    const host = hosts[shown].current;
    if (drawn.current[shown] || model === null || host === null) return;
    drawn.current[shown] = true;
    (shown === "lab" ? lab : lstm).render({ model, el: host });
  }, [shown, models]);
  const views = models.lstm ? [["lab", t("Graph")], ["lstm", t("Recurrent layers")]] as const : [];
  return (
    <>
      <header className="flowlab fl-replay-bar" ref={bar}>
        <h1 title={content.title}>{content.title}</h1>
        <span className="what" title={content.run.name}>{t("recorded run")} · {tn(content.run.events.length, "{n} firing", "{n} firings")}</span>
        {views.length > 0 && <div className="seg" role="group" aria-label={t("View")}>{views.map(([k, name]) => <button key={k} type="button" aria-pressed={shown === k} onClick={() => setShown(k)}>{name}</button>)}</div>}
        <span className="note" title={needsKernel()}>{t(NEEDS_KERNEL)} <b>{t(GET_KERNEL)}</b></span>
        <div className="seg icons" role="group" aria-label={t("Theme")}>
          {THEMES.map((k) => <button key={k} type="button" aria-pressed={theme === k} aria-label={t(SAYS[k])} title={t(SAYS[k])} onClick={() => setTheme(k)}><Icon name={k} size={13} /></button>)}
        </div>
        <LanguageChoice />
      </header>
      <main>
        <div ref={hosts.lab} hidden={shown !== "lab"} />
        {models.lstm && <div ref={hosts.lstm} hidden={shown !== "lstm"} />}
      </main>
    </>
  );
}

async function open(): Promise<void> {
  const root = document.getElementById("flowlab")!;
  try {
    const { content, bytes, from } = await unpacked(document.getElementById("flowlab-run")!.textContent ?? "");
    if (content.version !== VERSION) throw new Error(`it was written for version ${content.version} of the page, this is ${VERSION}.`);
    const numbers = new Numbers(bytes, from, content.run.tensors);
    const models: Models = {
      lab: new FileModel(new RecordedLab(content, numbers).answer, { language: content.language, height: 720 }),
      lstm: content.lstm && new RecordedLayers(content.lstm, numbers, content.language).model,
    };
    // for a page that frames this one, and for tests: what the views speak with
    Object.assign(window, { flowlabReplay: models });
    createRoot(root).render(<Words model={models.lab}><App content={content} models={models} /></Words>);
  } catch (error) {
    root.textContent = `This recording cannot be opened: ${(error as Error).message} It needs a browser of 2023 or later.`;
  }
}

void open();
