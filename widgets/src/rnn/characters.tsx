// What the network guesses after each character, a prefix of one's own, and a feed-forward network of the same size beside it.
import * as React from "react";
import type { RNNContext, RNNGuesses } from "../protocol.gen";
import { useWidth } from "../shared/controls";
import { num, percent } from "../shared/format";
import { t as words } from "../shared/words";
import type { Data } from "./data";

const MOST = 400;       // characters on the strip at once

const visible = (s: string | undefined) => (s === " " ? "␣" : s === "\n" ? "↵" : s === "\t" ? "⇥" : s ?? "");

export function Guesses({ data, guesses, t, setT, ask }: { data: Data; guesses: RNNGuesses; t: number; setT(t: number): void; ask(text: string, context: number): Promise<boolean> }) {
  const [text, setText] = React.useState("");
  const [context, setContext] = React.useState(String(guesses.context || ""));
  const strip = React.useRef<HTMLDivElement>(null);
  const n = guesses.text.length;
  const first = Math.max(0, Math.min(t - (MOST >> 1), n - MOST));
  const shown = Array.from({ length: Math.min(MOST, n) }, (_, k) => first + k);
  const right = guesses.text.slice(1).filter((c, k) => c === guesses.top[k][0]).length;
  React.useEffect(() => {
    const column = strip.current?.querySelector<HTMLElement>('[aria-current="true"]');
    if (column && strip.current) strip.current.scrollLeft = column.offsetLeft - strip.current.clientWidth / 2;
  }, [t, guesses]);
  const number = context.trim() === "" ? 0 : Number(context);
  const wrong = !Number.isInteger(number) || number < 0;
  const submit = (e: React.FormEvent) => {
    e.preventDefault();
    if (!wrong) void ask(text, number);
  };
  return (
    <section className="panel guesses">
      <div className="head">
        <h2>{words("What comes next")}</h2>
        <span className="sentence">{n > 1 && words("{right} of {n} first guesses are right", { right, n: n - 1 })}{guesses.context > 0 && `, ${words("each from {n} characters alone", { n: guesses.context })}`}</span>
        <form className="prefix" onSubmit={submit}>
          <label>{words("Your own text")}<input type="text" value={text} spellCheck={false} autoComplete="off" aria-label={words("Your own text")} placeholder={guesses.text.slice(0, 6).join("")} onChange={(e) => setText(e.currentTarget.value)} /></label>
          <label>{words("Context")}<input type="text" className="number" inputMode="numeric" aria-label={words("Context length")} aria-invalid={wrong || undefined} placeholder={words("all")} value={context} onChange={(e) => setContext(e.currentTarget.value)} /></label>
          <button type="submit" className="button" disabled={wrong}>{words("Guess")}</button>
          {(guesses.typed || guesses.context > 0) && <button type="button" className="button" onClick={() => { setText(""); setContext(""); void ask("", 0); }}>{words("As in the run")}</button>}
        </form>
      </div>
      <div ref={strip} className="letters" tabIndex={0} role="list" aria-label={words("Guesses after each character")}>
        {shown.map((k) => (
          <div
            key={k} role="listitem" className="letter" data-guess={k} aria-current={!guesses.typed && k === t ? "true" : undefined}
            aria-label={words("after {c}: {guesses}", { c: visible(guesses.text[k]), guesses: guesses.top[k].map((g, j) => `${visible(g)} ${percent(guesses.shares[k][j] ?? NaN, 0)}`).join(words(", ")) })}
            onClick={guesses.typed || k >= data.layer.timesteps ? undefined : () => setT(k)}
          >
            <b>{visible(guesses.text[k])}</b>
            {guesses.top[k].map((g, j) => (
              <span key={j} className="guess" data-right={(k + 1 < n && g === guesses.text[k + 1]) || undefined} data-top={j === 0 || undefined}>
                <u style={{ width: `${Math.round((guesses.shares[k][j] ?? 0) * 100)}%` }} /><i>{visible(g)}</i><small>{guesses.shares[k][j] === null ? "NaN" : Math.round((guesses.shares[k][j] ?? 0) * 100)}</small>
              </span>
            ))}
          </div>
        ))}
      </div>
      <p className="sentence">{words("Under each character the five likeliest next ones, in percent; the one that came is framed.")}</p>
    </section>
  );
}

export function Besides({ data, busy, compare }: { data: Data; busy: boolean; compare(): void }) {
  const rows = data.info.beside;
  return (
    <section className="panel beside">
      <div className="head">
        <h2>{words("Beside a feed-forward network")}</h2>
        {rows.length > 0 && <span className="legend"><i className="recurrent" />{words("recurrent")}<i className="forward" />{words("feed-forward")}</span>}
      </div>
      {rows.length === 0 ? (
        <><p className="sentence">{words("Trains both on the text that was given, with as many numbers to learn, for several lengths of the context: a few seconds.")}</p><button type="button" className="button" disabled={busy} onClick={compare}>{words("Train both")}</button></>
      ) : (
        <>
          <div className="pair">
            <Lines title={words("Accuracy on unseen text")} rows={rows} of={(r) => [r.recurrent, r.forward]} say={(v) => percent(v, 0)} top={1} />
            <Lines title={words("Seconds of training")} rows={rows} of={(r) => [r.recurrent_seconds, r.forward_seconds]} say={(v) => num(+v.toPrecision(2))} />
          </div>
          <p className="sentence">{words("Numbers to learn: {recurrent} recurrent, whatever the context; feed-forward {forward}.", { recurrent: rows[0].recurrent_numbers.toLocaleString("en-US"), forward: rows.map((r) => r.forward_numbers.toLocaleString("en-US")).join(" / ") })}</p>
        </>
      )}
    </section>
  );
}

function Lines({ title, rows, of, say, top }: { title: string; rows: RNNContext[]; of(r: RNNContext): [number, number]; say(v: number): string; top?: number }) {
  const [box, width] = useWidth<HTMLDivElement>();
  const height = 112;
  const most = top ?? (Math.max(...rows.flatMap(of)) || 1);
  const x = (k: number) => 40 + (rows.length > 1 ? (k / (rows.length - 1)) * (width - 60) : (width - 60) / 2);
  const y = (v: number) => 12 + (1 - v / most) * (height - 40);
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <div ref={box}>
        {width > 0 && (
          <svg width={width} height={height} role="img" aria-label={`${title}: ${rows.map((r) => `n = ${r.n}: ${of(r).map(say).join(" / ")}`).join("; ")}`}>
            {[0, 0.5, 1].map((s) => <React.Fragment key={s}><path className="grid" d={`M40 ${y(s * most)}H${width - 12}`} /><text x={34} y={y(s * most) + 3.5} textAnchor="end">{say(s * most)}</text></React.Fragment>)}
            {(["recurrent", "forward"] as const).map((kind, j) => (
              <g key={kind} className={kind}>
                <path d={rows.map((r, k) => `${k ? "L" : "M"}${x(k)} ${y(of(r)[j])}`).join("")} />
                {rows.map((r, k) => <circle key={r.n} data-context={r.n} data-kind={kind} data-value={String(of(r)[j])} cx={x(k)} cy={y(of(r)[j])} r={3.5}><title>{`n = ${r.n}: ${say(of(r)[j])}`}</title></circle>)}
              </g>
            ))}
            {rows.map((r, k) => <text key={r.n} x={x(k)} y={height - 10} textAnchor="middle">{k === 0 ? `n = ${r.n}` : r.n}</text>)}
          </svg>
        )}
      </div>
    </figure>
  );
}
