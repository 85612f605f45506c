import * as React from "react";
import type { ConvData, ConvSweep } from "../protocol.gen";
import { Slider } from "../shared/controls";
import { Icon } from "../shared/icons";
import { csvWay, type Draw, Save, useSaved } from "../shared/save";
import { Follows, Frame, isOurs, Message, PlayButton, Sample, usePlay, useSynced, useView } from "../shared/view";
import type { Model } from "../shared/wire";
import { LanguageChoice, t as words } from "../shared/words";
import { Counted, Settings, Sharing, SweepCard, type Wanted } from "./cards";
import { type Data, type Seen, dataOf, momentOf } from "./data";
import { Chain } from "./chain";
import { Equation, Ledger } from "./ledger";
import { draw, tableOf } from "./save";
import { Stage, WIDE } from "./stage";
import { Wall } from "./wall";

const FRAME = 220; // ms a window while playing

export type Brush = { on: boolean; value: number };
export type Cell = { i: number; j: number };

export function App({ model }: { model: Model }) {
  const [data, setData] = React.useState<Data | null>(null);
  const [seen, setSeen] = React.useState<Seen | null>(null);
  const [sweep, setSweep] = React.useState<ConvSweep | null>(null);
  const [sweeping, setSweeping] = React.useState<string | null>(null);
  const rows = data?.info.out_rows ?? 1;
  const cols = data?.info.out_cols ?? 1;
  const filters = data?.layer.filters ?? 1;
  const [y, setY] = useSynced(model, "y", rows - 1);
  const [x, setX] = useSynced(model, "x", cols - 1);
  const [o, setO] = useSynced(model, "channel", filters - 1);
  const [c, setC] = React.useState(0);
  const [cell, setCell] = React.useState<Cell>({ i: 0, j: 0 });
  const [brush, setBrush] = React.useState<Brush>({ on: false, value: 1 });
  const last = React.useRef<ConvData | null>(null);
  const view = useView(model, (message, buffers) => {
    switch (message.type) {
      case "conv":
        // what was measured on another picture is told no more
        if (!last.current || last.current.layer !== message.layer || last.current.sample !== message.sample || last.current.edits !== message.edits) setSweep(null);
        last.current = message;
        setData(dataOf(message, buffers));
        setSeen(null);
        view.tell(null);
        break;
      case "conv_window": {
        const [patch, weights, bias, value] = buffers;
        setSeen({ info: message, patch, kernel: weights, bias: bias[0], value: value[0] });
        break;
      }
      case "conv_sweep":
        setSweep(message);
        view.tell(null);
        break;
      default:
        break;
    }
  });
  const { send, root, width, theme, place } = view;
  const ask = React.useCallback((layer: number, sample: number, xChannel = 0, yFrom = 0) => send({ type: "conv_ask", layer, sample, x_channel: xChannel, y_from: yFrom }), [send]);

  const askSweep = React.useCallback((kind: string) => {
    setSweeping(kind);
    void send({ type: "conv_sweep_ask", kind }).then(() => setSweeping(null));
  }, [send]);

  // a large layer's window is asked for when the cursor rests
  React.useEffect(() => {
    if (!data || data.info.whole) return;
    const timer = window.setTimeout(() => void send({ type: "conv_look", y, x, channel: o }), 50);
    return () => window.clearTimeout(timer);
  }, [data, y, x, o, send]);

  const moment = React.useMemo(() => (data ? momentOf(data, y, x, o, seen) : null), [data, y, x, o, seen]);
  const channel = moment ? Math.min(c, moment.channels.count - 1) : 0;
  const picture: Draw | null = data && moment && !place?.asked ? (pen) => draw(pen, data, moment, y, x, o, channel) : null;
  useSaved(model, root, moment?.ready ? picture : null, [data, moment, y, x, o, channel]);
  const [kh, kw] = data?.info.size ?? [1, 1];
  const held = { i: Math.min(cell.i, kh - 1), j: Math.min(cell.j, kw - 1) };

  // ------------------------------------------------------------ a large layer: other channels are asked for
  const wanted = moment ? moment.channels.from + channel : 0;
  React.useEffect(() => {
    if (!data || data.info.whole) return;
    const { x_from: xf, x_count: xn, y_from: yf, y_count: yn, layer, sample } = data.info;
    const haveX = wanted >= xf && wanted < xf + xn;
    const haveY = o >= yf && o < yf + yn;
    if (!haveX || !haveY) void ask(layer, sample, wanted, haveY ? yf : Math.floor(o / 24) * 24);
  }, [data, wanted, o, ask]);

  const asked = React.useRef({ layer: 0, sample: 0, wanted });
  asked.current = { layer: data?.info.layer ?? 0, sample: data?.info.sample ?? 0, wanted };
  const more = React.useCallback((from: number) => void ask(asked.current.layer, asked.current.sample, asked.current.wanted, from), [ask]);
  const setSettings = React.useCallback((what: Wanted) => void send({ type: "conv_set", ...what }), [send]);

  // ------------------------------------------------------------ painting: one message at a time, the rest waits together
  const waiting = React.useRef<{ what: "input" | "kernel"; cells: Map<string, number[]> } | null>(null);
  const under = React.useRef(false);
  const flush = React.useCallback(() => {
    const now = waiting.current;
    if (under.current || !now) return;
    waiting.current = null;
    under.current = true;
    void send({ type: "conv_edit", what: now.what, cells: [...now.cells.values()] }).then(() => {
      under.current = false;
      flush();
    });
  }, [send]);
  const edit = React.useCallback((what: "input" | "kernel", place: number[], value: number) => {
    if (!waiting.current || waiting.current.what !== what) waiting.current = { what, cells: new Map() };
    waiting.current.cells.set(place.join(), [...place, value]);
    flush();
  }, [flush]);
  const paint = React.useCallback((at: [number, number]) => {
    if (!data || at[0] < 0 || at[1] < 0 || at[0] >= data.layer.rows || at[1] >= data.layer.cols) return;
    edit("input", [wanted, ...at], brush.value);
  }, [data, edit, wanted, brush.value]);

  // ------------------------------------------------------------ moving
  const go = React.useCallback((nextY: number, nextX: number) => {
    setY(nextY);
    setX(nextX);
  }, [setY, setX]);
  const [playing, play] = usePlay(FRAME, y >= rows - 1 && x >= cols - 1, () => (x + 1 < cols ? setX(x + 1) : go(y + 1, 0)), () => go(0, 0));

  const onKeyDown = (e: React.KeyboardEvent) => {
    if (!isOurs(e, "button, [data-cell]")) return;
    const far = e.shiftKey ? 10 : 1;
    switch (e.key) {
      case "ArrowLeft": setX(x - far); break;
      case "ArrowRight": setX(x + far); break;
      case "ArrowUp": setY(y - far); break;
      case "ArrowDown": setY(y + far); break;
      case "PageUp": setO(o - 1); break;
      case "PageDown": setO(o + 1); break;
      case "Home": setX(0); break;
      case "End": setX(cols - 1); break;
      case " ": play(); break;
      case "Enter": {
        if (!brush.on || !moment) return;
        const middle = (taps: { at: number }[]) => taps[taps.length >> 1]?.at ?? -1;
        paint([middle(moment.rows), middle(moment.cols)]);
        break;
      }
      default: return;
    }
    e.preventDefault();
  };

  const info = data?.info;
  return (
    <Frame
      view={view} name="fl-sheet fl-conv" onKeyDown={onKeyDown}
      hooks={{
        "data-testid": "conv-view", "data-size": width >= WIDE ? "wide" : width >= 760 ? "middle" : "narrow", "data-node": data?.layer.node, "data-layer": info ? info.layer + 1 : undefined,
        "data-y": y, "data-x": x, "data-channel": o,
      }}
      label={data ? words("Convolution view of {node}. Arrow keys move the window, Page Up and Page Down change the channel.", { node: data.layer.node }) : words("Convolution view.")}
    >
      {data && moment && info && picture && (
        <>
          <header className="bar" role="presentation">
            <div className="name"><Icon name="conv" size={15} /><b>{data.layer.node}</b>{info.title && <span>{info.title}</span>}</div>
            <Slider label={words("Row")} value={y} max={rows - 1} text={`${y} / ${rows - 1}`} onChange={setY} />
            <Slider label={words("Column")} value={x} max={cols - 1} text={`${x} / ${cols - 1}`} onChange={setX} />
            {filters > 1 && <Slider label={words("Channel")} value={o} max={filters - 1} text={`${o} / ${filters - 1}`} onChange={setO} />}
            <PlayButton playing={playing} play={play} />
            {info.samples > 1 && <Sample sample={info.sample} samples={info.samples} choose={(n) => void ask(info.layer, n)} />}
            <span className="end"><Save of={data.layer.node} ways={[csvWay(() => tableOf(data, moment, y, x, o))]} draw={picture} root={root} tell={view.tell} /><LanguageChoice /></span>
          </header>
          {view.notice && <Message notice={view.notice} close={() => view.tell(null)} />}
          <Follows place={place} />
          <Tried data={data} reset={(what) => void send({ type: "conv_reset", what })} />
          <Stage
            data={data} moment={moment} y={y} x={x} o={o} c={channel} setC={setC} cell={held} setCell={setCell} go={go} theme={theme} root={root} width={width}
            brush={brush} setBrush={setBrush} paint={paint} edit={edit}
          />
          <Chain data={data} y={y} x={x} side={width >= WIDE ? 124 : 100} theme={theme} root={root} choose={(layer) => void ask(layer, info.sample)} />
          <div className="columns">
            <div className="column">
              <Equation data={data} moment={moment} y={y} x={x} o={o} />
              <Ledger data={data} moment={moment} c={channel} setC={setC} />
              <Sharing data={data} moment={moment} o={o} c={channel} cell={held} y={y} x={x} theme={theme} root={root} choose={(of) => void send({ type: "conv_gradient", of })} />
              <Wall data={data} o={o} setO={setO} theme={theme} root={root} more={more} />
            </div>
            <div className="column">
              <Settings data={data} set={setSettings} />
              <SweepCard data={data} sweep={sweep} waiting={sweeping} ask={askSweep} />
              <Counted data={data} />
            </div>
          </div>
          <p className="hidden" role="status" aria-live="polite">{said(data, y, x, o, moment.value)}</p>
        </>
      )}
    </Frame>
  );
}

function said(data: Data, y: number, x: number, o: number, value: number): string {
  return words("Row {y}, column {x}, channel {o} of {node}: {value}", { y, x, o, node: data.layer.node, value: Number.isNaN(value) ? "NaN" : value.toPrecision(4) });
}

/** What is not as in the run, and the way back. */
function Tried({ data, reset }: { data: Data; reset(what: "settings" | "input" | "kernel" | "all"): void }) {
  const { info } = data;
  if (!info.changed && !info.painted && !info.kernel_edited) return null;
  const what = [info.changed && words("other settings"), info.painted && words("a painted input"), info.kernel_edited && words("an edited kernel")].filter(Boolean).join(words(", "));
  const rest = info.rerun && !info.changed ? words("Everything after it ran again.") : words("This layer alone ran again; what follows is as it was.");
  return (
    <div className="tried" role="status">
      <span><b>{words("Trying out: {what}.", { what })}</b> {rest} {words("The graph and its variables are as they were.")}</span>
      {info.outcomes.map((r) => <span key={r.label} className="outcome">{r.label} {r.before} → <b>{r.after}</b></span>)}
      <button type="button" className="button" onClick={() => reset("all")}>{words("As in the run")}</button>
    </div>
  );
}

