// The lab: one widget that builds a graph, runs it step by step, and shows the real tensors on their way.
import * as React from "react";
import { createRoot } from "react-dom/client";
import "@xyflow/react/dist/base.css";
import "../shared/tokens.css";
import "../shared/controls.css";
import "./editor.css";
import "./story.css";
import { followTheme, onThemeChange } from "../shared/color";
import { guardShortcuts, isTextField } from "../shared/guard";
import type { Model } from "../shared/wire";
import { Words, t, told, useLanguage } from "../shared/words";
import { Bar } from "./Bar";
import { Canvas } from "./Canvas";
import { CodePanel } from "./CodePanel";
import { WatchTable } from "./Debug";
import { Inspector } from "./Inspector";
import { FileBar, LinkBar, OpenSheet, SaveSheet, useFileDrop } from "./Files";
import { ConnectMenu, Empty, KeysPanel, OfferBar } from "./Overlays";
import { Carried, Palette, Rail } from "./Palette";
import { hideSaved } from "../shared/saved";
import { Banner, Timeline } from "./Timeline";
import { LectureBand, StoryPanel } from "./Storyboard";
import { TaskPanel } from "./Task";
import { Tour } from "./Tour";
import { TrainingBar } from "./Training";
import { handleKey } from "./keys";
import { onPaste } from "./making";
import { pictureOf } from "./picture";
import { Lab, LabContext, useLab, useLabState } from "./store";

const PICTURE_AFTER = 800;

function App() {
  const lab = useLab();
  const lang = useLanguage();
  const cursor = useLabState((s) => s.run.cursor);
  const length = useLabState((s) => s.run.length);
  const total = useLabState((s) => s.run.total);
  const mode = useLabState((s) => s.run.mode);
  const busy = useLabState((s) => s.busy);
  const playing = useLabState((s) => s.playing);
  const beside = useLabState((s) => s.codeOpen || s.storyOpen && !s.lecture);
  const lecture = useLabState((s) => s.lecture);
  const looking = useLabState((s) => s.selected.length === 1 || s.edge !== null);
  const live = useLabState((s) => s.run.live);
  const link = useLabState((s) => s.link);
  const dirty = useLabState((s) => s.file?.dirty ?? false);
  const [mounted, setMounted] = React.useState(false);
  const root = React.useCallback((el: HTMLDivElement | null) => { lab.root = el; setMounted(el !== null); }, [lab]);
  usePicture(lab);
  React.useLayoutEffect(() => (mounted && lab.root ? followTheme(lab.root) : undefined), [lab, mounted]);
  React.useEffect(() => onThemeChange(() => lab.set({ theme: lab.state.theme + 1 })), [lab]);
  const drop = useFileDrop();
  const onFocus = (e: React.FocusEvent) => {
    if (!e.currentTarget.contains(e.relatedTarget)) lab.look();
    // by keyboard the focus rests on something that can be heard, never on the frame around everything
    if (e.target === e.currentTarget && e.target.matches(":focus-visible")) lab.back();
  };
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.defaultPrevented || isTextField(e.target) || lecture) return;
    if (handleKey(lab, e.nativeEvent)) { e.preventDefault(); }
  };
  return (
    <div
      ref={root} className={`flowlab fl-lab${beside ? " with-code" : ""}${drop.over ? " dropping" : ""}`} data-testid="flowlab" lang={lang} tabIndex={-1} data-cursor={cursor} data-length={length} data-total={total} data-mode={mode} data-busy={busy ? "true" : undefined}
      data-playing={playing || undefined} data-live={live || undefined} data-lecture={lecture || undefined} data-looking={looking || undefined} role="group" aria-label="flowlab" data-drop={drop.over ? t("Drop a graph file to open it") : undefined} data-dirty={dirty ? "true" : undefined} data-link={link === "up" ? undefined : link} {...drop.handlers} onFocus={onFocus} onKeyDown={onKeyDown}
      onPaste={(e) => { if (isTextField(e.target) || lecture) return; e.preventDefault(); e.stopPropagation(); onPaste(lab, e.clipboardData.getData("text/plain")); }}
    >
      {mounted ? PARTS : null}
    </div>
  );
}

function Status() {
  const status = useLabState((s) => s.status);
  const said = useLabState((s) => s.said);
  // a new element each time: what is said twice is heard twice
  return <div className="status" role="status" aria-live="polite"><span key={said}>{status.split("\n").map(told).join(" ")}</span></div>;
}

/** What stands between canvas and inspector. */
function Side() {
  const open = useLabState((s) => s.codeOpen || s.storyOpen);
  return open ? <div className="side"><CodePanel /><StoryPanel /></div> : null;
}

/** One element for good: what changes on the root must not draw the parts again, each of which listens for itself. */
const PARTS = <>
  <TaskPanel />
  <TrainingBar />
  <div className="lab">
    <Bar />
    <Rail />
    <Palette />
    <Canvas><Banner /><div className="bars"><OfferBar /><FileBar /><LinkBar /></div><Empty /><KeysPanel /><ConnectMenu /><OpenSheet /><SaveSheet /></Canvas>
    <Side />
    <Inspector />
    <LectureBand />
    <Timeline />
    <div className="below"><WatchTable /><Status /></div>
    <Carried />
  </div>
  <Tour />
</>;

/** Sends a picture of the canvas a little after it changed, for the notebook's saved output. */
function usePicture(lab: Lab): void {
  const scene = useLabState((s) => s.scene);
  const at = useLabState((s) => s.at);
  const thumbs = useLabState((s) => s.thumbs);
  const theme = useLabState((s) => s.theme);
  const playing = useLabState((s) => s.playing);
  const flying = useLabState((s) => s.flights.length > 0);
  const last = React.useRef("");
  React.useEffect(() => {
    if (!scene || playing || flying || lab.inFile) return;    // a picture takes longer than a frame
    const t = setTimeout(() => {
      const made = lab.root && pictureOf(lab.state, lab.root);
      if (!made || made.png === last.current || lab.state.link !== "up") return;
      last.current = made.png;
      lab.quiet({ type: "picture", ...made });
    }, PICTURE_AFTER);
    return () => clearTimeout(t);
  }, [lab, scene, at, thumbs, theme, playing, flying]);
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const host = document.createElement("div");
  host.className = "fl-host";
  const resize = () => {
    const height = model.get("height");
    host.style.setProperty("--fl-height", typeof height === "number" ? `${Math.max(360, Math.min(4000, height))}px` : "720px");
  };
  resize();
  model.on("change:height", resize as never);
  el.append(host);
  const lab = new Lab(model);
  const unguard = guardShortcuts(host);
  const root = createRoot(host);
  root.render(<Words model={model}><LabContext.Provider value={lab}><App /></LabContext.Provider></Words>);
  const disconnect = lab.connect();
  // the output area is there once the element is attached
  let unhide = () => undefined as void;
  const soon = requestAnimationFrame(() => { unhide = hideSaved(el, "flowlab graph"); });
  return () => {
    cancelAnimationFrame(soon);
    disconnect();
    root.unmount();
    unguard();
    unhide();
    model.off("change:height", resize as never);
    host.remove();
  };
}

export default { render };
