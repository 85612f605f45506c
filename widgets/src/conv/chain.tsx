// The chain of layers: what a pixel sees through all of them, and where it is seen. A map is a button that goes to its layer.
import * as React from "react";
import { t as words, tn } from "../shared/words";
import { boxOf, type Data, type FieldData, scaleFor } from "./data";
import { cellSize, Pixels, type Root } from "./tiles";


export function Chain({ data, y, x, side, theme, root, choose }: { data: Data; y: number; x: number; side: number; theme: number; root: Root; choose(layer: number): void }) {
  const { info, fields, layer } = data;
  const elsewhere = info.layers.map((l, k) => ({ l, k })).filter(({ k }) => !fields.some((f) => f.info.layer === k));
  const [size, jump, sizeX, jumpX] = info.reach;
  const first = fields.find((f) => f.info.direction === "up") ?? null;
  return (
    <section className="panel chain">
      <div className="head">
        <h2>{words("What this pixel sees, and where it is seen")}</h2>
        <span className="legend"><i className="sees" />{words("sees")}<i className="seen" />{words("is seen in")}</span>
      </div>
      {fields.length === 0 && <p className="sentence">{words("Through the layers around it this layer has its own settings; take the others back to see the field.")}</p>}
      <div className="strip" role="list">
        {fields.map((f, k) => <Field key={f.info.name} f={f} arrow={k > 0} y={y} x={x} side={side} theme={theme} root={root} here={f.info.layer === info.layer} choose={choose} />)}
      </div>
      {first && fields.length > 1 && (
        <p className="sentence">
          {info.reach.length > 0
            ? words("One value of {node} sees {rows} × {cols} places of {image}; its neighbour sees the same {down} × {across} further on. Places outside the picture are left out of the box.", { node: layer.node, rows: size, cols: sizeX, image: first.info.name, down: jump, across: jumpX })
            : words("Ways part, windows have no single stride, or a batch’s statistics see every place: there is no closed form, and the box is worked out place by place.")}
        </p>
      )}
      {elsewhere.length > 0 && (
        <div className="others"><span>{words("Other layers")}</span>{elsewhere.slice(0, 40).map(({ l, k }) => <button key={l.node} type="button" className="button" aria-pressed={k === info.layer} onClick={() => choose(k)}>{l.node}</button>)}</div>
      )}
    </section>
  );
}

function Field({ f, arrow, y, x, side, theme, root, here, choose }: {
  f: FieldData; arrow: boolean; y: number; x: number; side: number; theme: number; root: Root; here: boolean; choose(layer: number): void;
}) {
  const { info } = f;
  const box = boxOf(f, Math.min(y, f.rows[0].length - 1), Math.min(x, f.cols[0].length - 1));
  const [y0, x0, y1, x1] = box;
  const k = cellSize(side, info.rows, info.cols, 24);
  const width = info.cols * k;
  const height = info.rows * k;
  const rows = Math.ceil(info.rows / info.step);
  const cols = Math.ceil(info.cols / info.step);
  const nothing = y1 <= y0 || x1 <= x0;
  const told = nothing ? words("nothing") : `${y1 - y0 === 1 ? words("row {n}", { n: y0 }) : words("rows {a}–{b}", { a: y0, b: y1 - 1 })}${words(", ")}${x1 - x0 === 1 ? words("column {n}", { n: x0 }) : words("columns {a}–{b}", { a: x0, b: x1 - 1 })}`;
  const body = (
    <>
      <span className="mapped" style={{ width, height }}>
        <Pixels map={f.map} rows={rows} cols={cols} width={width} height={height} scale={scaleFor(info.limit, info.signed)} theme={theme} root={root} />
        <svg className="over" width={width} height={height} aria-hidden="true">
          {!nothing && <><rect className="halo" x={x0 * k - 1} y={y0 * k - 1} width={(x1 - x0) * k + 2} height={(y1 - y0) * k + 2} /><rect className={info.direction === "down" ? "seen" : "sees"} x={x0 * k - 1} y={y0 * k - 1} width={(x1 - x0) * k + 2} height={(y1 - y0) * k + 2} /></>}
        </svg>
      </span>
      <b>{info.name}</b>
      <small>{tn(info.channels, "{n} channel", "{n} channels")}, {info.rows} × {info.cols}</small>
      <small className="where">{info.direction === "self" ? words("here: {place}", { place: told }) : told}</small>
    </>
  );
  const marks = { "data-field": info.name, "data-box": box.join(), "data-direction": info.direction };
  return (
    <span className="item" role="listitem">
      {arrow && <i className="arrow" aria-hidden="true">→</i>}
      {info.layer === null ? <span className="field" {...marks}>{body}</span> : (
        <button type="button" className="field" aria-current={here || undefined} title={words("Look into {node}", { node: info.name })} onClick={() => choose(info.layer ?? 0)} {...marks}>{body}</button>
      )}
    </span>
  );
}
