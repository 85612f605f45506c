// All timesteps of the page at once: what was read, and each state, unit by timestep. Click or drag moves the cursor.
import * as React from "react";
import { useScrub, useWidth } from "../shared/controls";
import { niceStep } from "../shared/format";
import { Pixels, type Root } from "../shared/pixels";
import { t as words, tn } from "../shared/words";
import { brief, type Data } from "./data";

const GUTTER = 46;

export function Timeline({ data, t, k, from, unit, setT, theme, root }: {
  data: Data; t: number; k: number; from: number; unit: number; setT(t: number): void; theme: number; root: Root;
}) {
  const [box, width] = useWidth<HTMLDivElement>();
  const { info, layer } = data;
  const room = Math.max(0, width - GUTTER);
  const cell = info.count <= room ? Math.floor(room / info.count) : room / info.count;
  const across = Math.max(1, Math.min(cell, 40) * info.count);
  const one = across / info.count;
  // timesteps go to the right, units down
  const turned = React.useMemo(() => data.states.map((s) => turn(s.after, info.count, s.units)), [data, info.count]);
  const input = React.useMemo(() => turn(data.x, info.count, data.features), [data, info.count]);
  const high = (rows: number, most: number) => (rows <= most ? rows * Math.max(1, Math.floor(most / rows)) : most);
  const scrub = useScrub((e, r) => setT(info.start + Math.max(0, Math.min(info.count - 1, Math.floor(((e.clientX - r.left) / r.width) * info.count)))));
  const every = Math.max(1, niceStep(info.count, Math.max(2, across / 50)));
  const first = (every - (info.start % every)) % every;       // whole hundreds on a page that starts between them
  const marks = Array.from({ length: Math.max(0, Math.ceil((info.count - first) / every)) }, (_, n) => first + n * every);
  const rows: { name: string; map: Float32Array; rows: number; height: number; scale: typeof data.xScale; row: number | null }[] = [
    { name: "x", map: input, rows: data.features, height: high(data.features, 48), scale: data.xScale, row: null },
    ...data.states.map((s, j) => ({ name: s.name, map: turned[j], rows: s.units, height: high(s.units, 84), scale: s.scale, row: unit % info.units_step === 0 ? unit / info.units_step : null })),
  ];
  const sampled = info.units_step > 1 ? words("units in steps of {n}", { n: info.units_step }) : tn(layer.units, "{n} unit", "{n} units");
  return (
    <section className="panel timeline">
      <div className="head">
        <h2>{words("All timesteps")}</h2>
        <span className="sentence">{sampled}{info.features_step > 1 && `, ${words("numbers of x in steps of {n}", { n: info.features_step })}`}{info.count < layer.timesteps && `, ${words("timesteps {a} to {b} of {n}", { a: info.start, b: info.start + info.count - 1, n: layer.timesteps })}`}</span>
      </div>
      <div ref={box}>
        {width > 0 && rows.map((r) => (
          <div className="row" key={r.name}>
            <i style={{ width: GUTTER }} title={r.name}>{brief(r.name)}</i>
            <div className="map" style={{ width: across, height: r.height }} {...scrub}>
              <Pixels map={r.map} rows={r.rows} cols={info.count} width={across} height={r.height} scale={r.scale} theme={theme} root={root} />
              {k > 0 && <u className="window" style={{ left: (from - info.start) * one, width: k * one }} />}
              <u className="cursor" style={{ left: (t - info.start + 0.5) * one }} />
              {r.row !== null && r.rows > 1 && <u className="at" style={{ top: ((r.row + 0.5) / r.rows) * r.height }} />}
            </div>
          </div>
        ))}
        {width > 0 && (
          <div className="row axis">
            <i style={{ width: GUTTER }}>t</i>
            <div style={{ width: across }}>{marks.map((m) => <span key={m} style={{ left: (m + 0.5) * one }}>{info.start + m}</span>)}</div>
          </div>
        )}
      </div>
    </section>
  );
}

function turn(values: Float32Array, rows: number, cols: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = values[r * cols + c];
  return out;
}
