// What stands in for a widget's model where there is no kernel: messages are answered in the page.
import type { Notice, ToPage } from "../protocol.gen";
import { GET_KERNEL, NEEDS_KERNEL } from "../shared/live";
import type { Model } from "../shared/wire";

export type Incoming = Record<string, unknown> & { type: string; seq: number };
export type Say = (message: ToPage, buffers?: Float32Array[]) => void;
/** Answers a message; false: it could not be done, which has been said. */
export type Answer = (message: Incoming, say: Say) => boolean;
type Callback = (...args: unknown[]) => void;

export class FileModel implements Model {
  private readonly traits = new Map<string, unknown>([["in_file", true]]);
  private readonly callbacks = new Map<string, Set<Callback>>();

  constructor(private readonly answer: Answer, traits: Record<string, unknown> = {}) {
    for (const [key, value] of Object.entries(traits)) this.traits.set(key, value);
  }

  get(key: string): unknown { return this.traits.get(key); }

  set(key: string, value: unknown): void {
    if (this.traits.get(key) === value) return;
    this.traits.set(key, value);
    this.tell(`change:${key}`);
  }

  save_changes(): void {}

  on(event: string, callback: (...args: never[]) => void): void {
    if (!this.callbacks.has(event)) this.callbacks.set(event, new Set());
    this.callbacks.get(event)!.add(callback as Callback);
  }

  off(event: string, callback: (...args: never[]) => void): void { this.callbacks.get(event)?.delete(callback as Callback); }

  /** The answer comes after this returns, as a kernel's would. */
  send(content: unknown): void {
    const message = content as Incoming;
    queueMicrotask(() => {
      let ok = false;
      try {
        ok = this.answer(message, this.say);
      } catch (error) {
        this.say(notice("alert", `${(error as Error).name}: ${(error as Error).message}`));
      }
      this.say({ type: "done", seq: message.seq, ok });
    });
  }

  readonly say: Say = (message, buffers = []) => this.tell("msg:custom", message, buffers.map((b) => new DataView(b.buffer, b.byteOffset, b.byteLength)));

  private tell(event: string, ...args: unknown[]): void { for (const callback of [...this.callbacks.get(event) ?? []]) callback(...args); }
}

export const notice = (level: "status" | "alert", text: string, hint = "", node: string | null = null): Notice => ({ type: "notice", level, text, hint, node, edge: null, why: false });

/** What cannot be done without a kernel. */
export function refused(say: Say): boolean {
  say(notice("alert", NEEDS_KERNEL, GET_KERNEL));
  return false;
}
