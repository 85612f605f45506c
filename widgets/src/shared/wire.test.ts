import { expect, test } from "vitest";
import type { ToPage } from "../protocol.gen";
import { Wire, type Model } from "./wire";

test("what comes after a message waits until that is dealt with, and everything arrives in order", async () => {
  let arrives: (m: unknown, b?: DataView[]) => void = () => undefined;
  const sent: { seq: number }[] = [];
  const model = { on: (_: string, f: typeof arrives) => { arrives = f; }, off: () => undefined, send: (m: { seq: number }) => { sent.push(m); } } as unknown as Model;
  const wire = new Wire(model);
  wire.connect();
  const heard: string[] = [];
  let go: () => void = () => undefined;
  wire.subscribe((m: ToPage) => {
    heard.push(m.type);
    return m.type === "scene" ? new Promise<void>((done) => { go = done; }) : undefined;
  });
  const answered = wire.send({ type: "command", name: "step" });
  arrives({ type: "scene" });
  arrives({ type: "state" });
  arrives({ type: "done", seq: sent[0].seq, ok: true });
  expect(heard).toEqual(["scene"]);
  expect(wire.busy()).toBe(true);
  go();
  expect(await answered).toBe(true);
  expect(heard).toEqual(["scene", "state"]);
  arrives({ type: "notice" });
  expect(heard).toEqual(["scene", "state", "notice"]);
});
