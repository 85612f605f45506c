// The layout, beside the page: scene in, places out, in the order in which they were asked for.
import type { Scene } from "../protocol.gen";
import { layoutOf } from "./layout";

onmessage = (e: MessageEvent<{ id: number; scene: Scene }>) => postMessage({ id: e.data.id, layout: layoutOf(e.data.scene) });
