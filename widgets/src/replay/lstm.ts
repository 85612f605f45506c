// The kernel behind the view into recurrent layers, played by what a file has recorded.
import type { Kept, Layers } from "./data";
import { FileModel, type Incoming, type Say, notice, refused } from "./model";
import type { Numbers } from "./numbers";

export class RecordedLayers {
  readonly model: FileModel;
  private layer: number;
  private sample = 0;
  private page = "";

  constructor(private readonly layers: Layers, private readonly numbers: Numbers, language: string) {
    this.layer = layers.layer - 1;
    this.model = new FileModel(this.answer, { t: 0, unit: 0, layer: layers.layer, sample: 0, language });
    // a long sequence or a wide layer is told of in pages
    for (const key of ["t", "unit"]) this.model.on(`change:${key}`, () => { if (this.page !== this.wanted()) this.show(this.model.say); });
  }

  private wanted(): string {
    const place = (key: string, size: number) => Math.floor(Number(this.model.get(key)) / size) * size;
    return `${this.layer} ${this.sample} ${place("t", this.layers.steps)} ${place("unit", this.layers.units)}`;
  }

  private show(say: Say): void {
    this.page = this.wanted();
    const found = this.layers.pages[this.page];
    if (found) this.tell(found, say);
  }

  private tell([message, buffers]: Kept, say: Say): void { say(message, buffers.map(([at, size]) => this.numbers.floats(at, size))); }

  private answer = (m: Incoming, say: Say): boolean => {
    switch (m.type) {
      case "hello": this.show(say); return true;
      case "picture": case "lstm_point": return true;
      case "lstm_ask": {
        const [layer, sample] = [Number(m.layer), Number(m.sample)];
        if (!(`${layer} ${sample} 0 0` in this.layers.pages)) {
          say(notice("alert", `Sample ${sample} is not in this file, which has 0 to ${this.layers.kept - 1}.`));
          return false;
        }
        [this.layer, this.sample] = [layer, sample];
        const { units, timesteps } = this.layers.pages[`${layer} ${sample} 0 0`][0].layers[layer];
        this.page = "";     // moving the cursor below would show another
        const [t, unit] = [Math.min(Number(this.model.get("t")), timesteps - 1), Math.min(Number(this.model.get("unit")), units - 1)];
        this.page = `${layer} ${sample} ${Math.floor(t / this.layers.steps) * this.layers.steps} ${Math.floor(unit / this.layers.units) * this.layers.units}`;
        this.model.set("t", t);
        this.model.set("unit", unit);
        this.show(say);
        return true;
      }
      case "lstm_more": {
        const key = m.what === "layers" ? `layers ${this.sample}` : m.what === "gradient" ? `gradient ${this.layer} ${this.sample}` : `saturation ${this.layer}`;
        const found = m.what === "go" ? undefined : this.layers.more[key];
        if (!found) return refused(say);
        this.tell(found, say);
        return true;
      }
      default: return refused(say);
    }
  };
}
