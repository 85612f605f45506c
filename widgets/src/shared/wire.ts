// The wire to the kernel: anywidget's custom messages, numbered, with their buffers as float32.
import * as React from "react";
import type { Done, ToKernel, ToPage } from "../protocol.gen";

/** What this page needs of anywidget's model. */
export interface Model {
  get(key: string): unknown;
  set(key: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[] | ArrayBufferView[]): void;
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback: (...args: never[]) => void): void;
}

type Fields<M> = M extends ToKernel ? Omit<M, "type"> & { type: M["type"] } : never;
export type Outgoing = Fields<ToKernel>;
/** A handler that is not done at once holds up what comes after its message: everything arrives in order. */
export type Handler = (message: ToPage, buffers: Float32Array[]) => void | Promise<void>;

export interface Kernel {
  /** Sends a message; the promise is fulfilled when the kernel says it is done (false: refused, or no answer came). */
  send(message: Outgoing): Promise<boolean>;
  /** True while an answer is awaited. */
  busy: boolean;
  /** Hears every message from the kernel except done; returns the way to stop. */
  subscribe(handler: Handler): () => void;
}

/** A buffer as float32, whatever place it starts at: a view needs a multiple of four, a copy does not. */
export function floats(view: DataView | ArrayBuffer | Uint8Array): Float32Array {
  if (view instanceof ArrayBuffer) return new Float32Array(view, 0, view.byteLength >> 2);
  const { buffer, byteOffset, byteLength } = view;
  if (byteOffset % 4 === 0) return new Float32Array(buffer as ArrayBuffer, byteOffset, byteLength >> 2);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + (byteLength & ~3)) as ArrayBuffer);
}

/** Numbers messages, matches answers, keeps count of what is open. One a view. */
export class Wire {
  // two views of one widget hear each other's answers: each counts from a place of its own
  private seq = Math.floor(Math.random() * 2 ** 40);
  private readonly first = this.seq;
  private readonly open = new Map<number, { message: Outgoing; answer: (ok: boolean) => void }>();
  private readonly handlers = new Set<Handler>();
  private readonly watchers = new Set<() => void>();

  constructor(private readonly model: Model) {}

  private holding = 0;
  private readonly waiting: [ToPage, DataView[]][] = [];

  private readonly onMessage = (message: ToPage, buffers: DataView[] = []) => {
    if (this.holding) this.waiting.push([message, buffers]);
    else this.deliver(message, buffers);
  };

  private deliver(message: ToPage, buffers: DataView[]) {
    if (message?.type === "done") {
      this.close((message as Done).seq, (message as Done).ok);
      return;
    }
    const arrays = buffers.map(floats);
    for (const handler of [...this.handlers]) {
      const working = handler(message, arrays);
      if (!working) continue;
      this.holding++;
      void working.finally(() => {
        this.holding--;
        while (!this.holding) {
          const next = this.waiting.shift();
          if (!next) break;
          this.deliver(...next);
        }
      });
    }
  }

  connect(): () => void {
    this.model.on("msg:custom", this.onMessage);
    return () => {
      this.model.off("msg:custom", this.onMessage);
      for (const seq of [...this.open.keys()]) this.close(seq, false);
    };
  }

  send = (message: Outgoing): Promise<boolean> => {
    const seq = ++this.seq;
    return new Promise((answer) => {
      this.open.set(seq, { message, answer });
      this.tell();
      try {
        this.model.send({ ...message, seq });
      } catch (error) {
        // a disposed comm: the kernel is gone, and waiting would be for ever
        console.warn("flowlab: the kernel did not take the message", error);
        this.close(seq, false);
      }
    });
  };

  /** Did this message come of something that another view asked for? */
  foreign = (message: { re?: number }): boolean => message.re !== undefined && (message.re <= this.first || message.re > this.seq);

  /** Sends what has not been answered once more: the connection was broken, and the kernel knows by its number what it has done already. */
  again = (types: readonly Outgoing["type"][]): number => {
    let count = 0;
    for (const [seq, { message }] of [...this.open]) {
      if (!types.includes(message.type)) { this.close(seq, false); continue; }
      count++;
      try { this.model.send({ ...message, seq }); } catch { this.close(seq, false); }
    }
    return count;
  };

  /** Nobody will answer any more: ends all waiting, and says how many of these were under way. */
  abandon = (types: readonly Outgoing["type"][]): number => {
    const lost = [...this.open.values()].filter((o) => types.includes(o.message.type)).length;
    for (const seq of [...this.open.keys()]) this.close(seq, false);
    return lost;
  };

  subscribe = (handler: Handler): (() => void) => {
    this.handlers.add(handler);
    return () => void this.handlers.delete(handler);
  };

  watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => void this.watchers.delete(watcher);
  };

  busy = (): boolean => this.open.size > 0;

  /** How many answers are awaited. */
  pending = (): number => this.open.size;

  private close(seq: number, ok: boolean) {
    const waiting = this.open.get(seq);
    if (!waiting) return;
    this.open.delete(seq);
    this.tell();
    waiting.answer(ok);
  }

  private tell() {
    for (const watcher of [...this.watchers]) watcher();
  }
}

/** The kernel behind this widget: send, busy, subscribe. */
export function useKernel(model: Model): Kernel {
  const wire = React.useMemo(() => new Wire(model), [model]);
  // a layout effect of the parent runs after its children's, before any passive effect: nobody sends before it listens
  React.useLayoutEffect(() => wire.connect(), [wire]);
  const busy = React.useSyncExternalStore(wire.watch, wire.busy);
  return React.useMemo(() => ({ send: wire.send, subscribe: wire.subscribe, busy }), [wire, busy]);
}

/** A synced trait of the Python object, read and written. */
export function useTrait<T>(model: Model, key: string): [T, (value: T) => void] {
  const value = React.useSyncExternalStore(
    React.useCallback((changed: () => void) => {
      model.on(`change:${key}`, changed);
      return () => model.off(`change:${key}`, changed);
    }, [model, key]),
    () => model.get(key) as T,
  );
  const write = React.useCallback((next: T) => {
    if (model.get(key) === next) return;
    model.set(key, next);
    model.save_changes();
  }, [model, key]);
  return [value, write];
}
