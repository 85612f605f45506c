// A wall of feature maps: every channel of the output, a page at a time where there are many.
import * as React from "react";
import { t as words, useLanguage } from "../shared/words";
import { type Data, mapOf, scaleFor } from "./data";
import { cellSize, Pixels, type Root, ScaleBar } from "./tiles";

const EACH = 48;

export const Wall = React.memo(function Wall({ data, o, setO, theme, root, more }: { data: Data; o: number; setO(o: number): void; theme: number; root: Root; more(from: number): void }) {
  const { info, layer } = data;
  useLanguage();
  const each = info.whole ? EACH : Math.max(1, info.y_count);
  const page = info.whole ? Math.floor(o / EACH) * EACH : info.y_from;
  const shown = Array.from({ length: Math.min(each, layer.filters - page) }, (_, k) => page + k);
  const size = info.whole ? EACH : 24;
  const turn = (from: number) => {
    setO(from);
    if (!info.whole) more(from);
  };
  const side = shown.length > 24 ? 56 : shown.length > 8 ? 72 : 96;
  const k = cellSize(side, info.out_rows, info.out_cols, 24);
  const sampled = info.y_step > 1 || info.x_step > 1;
  return (
    <section className="panel wall">
      <div className="head">
        <h2>{words("All {n} feature maps", { n: layer.filters })}</h2>
        <ScaleBar scale={scaleFor(info.y_limit, info.y_signed)} />
        {layer.filters > size && (
          <span className="pages">
            <button type="button" className="button" disabled={page === 0} onClick={() => turn(Math.max(0, page - size))} aria-label={words("Channels before")}>‹</button>
            {words("maps {a} to {b}", { a: page, b: page + shown.length - 1 })}
            <button type="button" className="button" disabled={page + size >= layer.filters} onClick={() => turn(page + size)} aria-label={words("Channels after")}>›</button>
          </span>
        )}
      </div>
      {!info.whole && <p className="sentence">{sampled ? words("This layer holds {n} numbers: of the input one row and column in {a} is drawn, of the output one in {b}. The window’s own numbers are exact.", { n: (layer.channels * layer.rows * layer.cols + layer.filters * layer.out_rows * layer.out_cols).toLocaleString("en-US"), a: info.x_step, b: info.y_step }) : words("This layer holds many numbers: its maps come a page at a time.")}</p>}
      <div className="maps">
        {shown.map((n) => {
          const sent = mapOf(data, "y", n);
          return (
            <button key={n} type="button" className="thumb" aria-pressed={n === o} aria-label={words("Channel {n}", { n })} onClick={() => setO(n)}>
              {sent ? <Pixels map={sent.map} rows={sent.rows} cols={sent.cols} width={info.out_cols * k} height={info.out_rows * k} scale={scaleFor(info.y_limit, info.y_signed)} theme={theme} root={root} /> : <i className="skeleton" style={{ width: info.out_cols * k, height: info.out_rows * k }} />}
              <small>{n}</small>
            </button>
          );
        })}
      </div>
    </section>
  );
});
