// Lays out large scenes in a worker, so that the page goes on answering; where a page's rules allow none, in the page itself.
import type { Scene } from "../protocol.gen";
import source from "worker:./layout.worker.ts";
import { type Layout, layoutOf } from "./layout";

/** From so many elements on a layout takes longer than a frame. */
const LARGE = 120;

type Job = { scene: Scene; done(layout: Layout | Promise<Layout>): void };

export class Layouter {
  private worker: Worker | null = null;
  private refused = false;
  private serial = 0;
  private readonly jobs = new Map<number, Job>();

  /** Is this scene better laid out beside the page? */
  static large(scene: Scene): boolean { return scene.nodes.length + scene.scopes.length > LARGE; }

  layout(scene: Scene): Promise<Layout> {
    return new Promise((done) => {
      const worker = this.start();
      if (!worker) return done(layoutOf(scene));
      const id = ++this.serial;
      this.jobs.set(id, { scene, done });
      worker.postMessage({ id, scene });
    });
  }

  stop(): void {
    this.worker?.terminate();
    this.worker = null;
    this.jobs.clear();
  }

  private start(): Worker | null {
    if (this.worker || this.refused) return this.worker;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    try {
      const worker = new Worker(url);
      worker.onmessage = (e: MessageEvent<{ id: number; layout: Layout }>) => {
        const job = this.jobs.get(e.data.id);
        this.jobs.delete(e.data.id);
        job?.done(e.data.layout);
      };
      // a page whose rules forbid workers says so only now: whoever waits is served here
      worker.onerror = (e) => { e.preventDefault(); this.giveUp(); };
      this.worker = worker;
    } catch {
      this.refused = true;
    }
    URL.revokeObjectURL(url);
    return this.worker;
  }

  private giveUp(): void {
    this.refused = true;
    this.worker?.terminate();
    this.worker = null;
    const waiting = [...this.jobs.values()];
    this.jobs.clear();
    // one that cannot be laid out at all holds up none of the others
    for (const job of waiting) job.done(Promise.resolve(job.scene).then((scene) => layoutOf(scene)));
  }
}
