// Written by flowlab/widgets/protocol.py; run `make protocol`.
export const VERSION = 1;
/** A graph of `fl.examples` to start from: the command `new` with its name opens it. */
export type Template = { name: string; label: string };
/** One file that can be opened. */
export type FileRow = { path: string; name: string; place: string; when: string; recent: boolean };
/** One attribute of an operation: the form field that edits it. */
export type AttrSpec = { name: string; kind: "int" | "float" | "bool" | "str" | "dtype" | "shape" | "axis" | "choice" | "ints" | "json" | "value" | "initializer"; default: unknown; required: boolean; choices: string[]; help: string };
/** One operation, as the palette shows it. */
export type OpSpec = { type: string; function: string; category: string; doc: string; latex: string; aliases: string[]; label_zh: string; inputs: string[]; optional: string[]; variadic: boolean; outputs: string[]; attrs: AttrSpec[]; called: string; fires: boolean };
/** A small graph to start from, offered on an empty canvas: clicking it sends these edits as one step. */
export type Example = { label: string; edits: Record<string, unknown>[] };
/** An input of a drawn node. `port` completes the hook: data-port="NODE:in:PORT". */
export type InPort = { port: string; wired: boolean; optional: boolean; error: string | null; back: boolean };
/** An output of a drawn node: data-port="NODE:out:INDEX"; shape and dtype are null while unknown. */
export type OutPort = { index: number; name: string; tensor: string; shape: string | null; dtype: string | null };
/** One drawn node. */
export type SceneNode = { name: string; op: string; label: string; category: string; phase: "forward" | "backward" | "update"; source: "placeholder" | "constant" | "variable" | null; scope: string; gradient_of: string | null; fetch: boolean; inputs: InPort[]; outputs: OutPort[]; attrs: Record<string, unknown>; value: string | null; bound: string | null; value_note: string | null; x: number | null; y: number | null; error: string | null };
/** A boundary port of a folded scope: data-port="SCOPE:in:PORT" or "SCOPE:out:PORT". A composite's have names, others are called as the tensor that passes. */
export type ScopePort = { port: string; label: string; wired: boolean; tensor: string | null; shape: string | null; dtype: string | null };
/** A composite of the document, as the palette offers it again. */
export type CompositeSpec = { of: string; name: string; inputs: string[]; outputs: string[]; count: number; uses: number; category: string };
/** A note on the canvas: Markdown as text. */
export type NoteSpec = { text: string; x: number; y: number };
/** A titled frame around drawn elements. */
export type FrameSpec = { title: string; colour: "grey" | "blue" | "green" | "orange" | "red" | "violet"; members: string[] };
/** A moment of the storyboard: its note is Markdown as text. */
export type BookmarkSpec = { title: string; note: string; cursor: number | null; after: string; view: number[] | null; shows: string[]; selected: string[]; tensor: string | null; into: string | null; panels: string[] };
/** One folded scope, drawn as a stack of cards: data-scope=NAME. Also what is drawn as one for want of room, with `stack` set. */
export type SceneScope = { name: string; label: string; category: string; phase: "forward" | "backward" | "update"; count: number; stack: "repeats" | "stretch" | null; alike: number; inputs: string[]; outputs: string[]; in_ports: ScopePort[]; out_ports: ScopePort[]; composite: string | null; shape: string | null; x: number | null; y: number | null; error: string | null };
/** One unfolded scope, drawn as a titled frame around its members. */
export type OpenScope = { name: string; label: string; parent: string; members: string[]; loop: "loop" | "branch" | null; node: string | null };
/** One drawn edge: data-edge=ID. `src` and `dst` are drawn elements (a node's or a folded scope's name). */
export type SceneEdge = { id: string; src: string; src_port: string; dst: string; dst_port: string; tensor: string | null; shape: string | null; dtype: string | null; phase: "forward" | "backward" | "update"; control: boolean; error: string | null; merged: number; loop: boolean };
/** One button of an error card: clicking it sends these edits. */
export type Repair = { label: string; edits: Record<string, unknown>[] };
/** One of the tensors that do not fit together; `axes` are those that keep them apart. */
export type Side = { port: string; tensor: string; shape: string[]; dtype: string; axes: number[] };
/** One thing that does not fit yet: an address and a way out. */
export type Diagnostic = { kind: "shape" | "dtype" | "missing" | "cycle" | "attr" | "op" | "name" | "feed"; node: string; port: string | null; axis: number | null; edge: string | null; message: string; hint: string; severe: boolean; repairs: Repair[]; sides: Side[] };
/** A node that a preview shows where it would stand: in the wire `src` → `dst`. */
export type GhostNode = { name: string; op: string; label: string; category: string; attrs: string; shape: string | null; dtype: string | null };
/** A wire that a preview shows; `src` and `dst` are drawn elements or ghosts. */
export type GhostEdge = { src: string; src_port: string; dst: string; dst_port: string; shape: string | null; dtype: string | null; error: boolean };
/** A drawn element that would be another: "(5, 2) → (3, 2)". */
export type GhostChange = { element: string; before: string; after: string };
/** A tensor small enough to paint. `offset` and rows × cols index the float32 of the message's first buffer. */
export type Thumb = { tensor: string; shape: number[]; dtype: string; rows: number; cols: number; offset: number; lo: number; hi: number; map: "seq" | "div"; value: string | null; uniform: boolean; nan: number; inf: number };
/** Health of a tensor. */
export type Stats = { min: number | null; max: number | null; mean: number | null; std: number | null; norm: number | null; zeros: number; nan: number; inf: number; counts: number[]; lo: number; hi: number };
/** A node or scope that was found; `drawn` is the element that stands for it now. */
export type Hit = { name: string; op: string; category: string; note: string; drawn: string | null };
/** One recurrent layer that can be looked into. */
export type LayerInfo = { node: string; units: number; features: number; timesteps: number; batch: number; kind: "lstm" | "gru" | "rnn"; from_the_end: boolean };
/** What one layer remembers: a buffer steps × units, in the order of the input. */
export type LSTMLayerMap = { node: string; letter: "c" | "h"; steps: number; units: number; every_step: number; every_unit: number; limit: number };
/** A moment whose state looked alike. Its buffer: the input around it, rows × steps. */
export type LSTMMoment = { sequence: number; t: number; score: number; first: number; steps: number; rows: number };
/** What one head would answer at each step, with its share. */
export type ReadingRow = { label: string; symbols: string[]; shares: number[] };
/** A gate held at a value, in one unit or (null) in all of them. */
export type ClampState = { gate: "f" | "i" | "g" | "o" | "r" | "z" | "n" | "h"; value: number; unit: number | null };
/** A fetched value before and after the clamp, as the person would read it: "loss 0.0312 → 4.210". */
export type Outcome = { label: string; before: string; after: string };
/** One thing that was looked at in a check. */
export type TaskLine = { ok: boolean; text: string };
/** A breakpoint. `key` removes it; `drawn` is the element it is seen on, null for a pattern or what is not drawn. */
export type BreakSpec = { key: string; target: string; drawn: string | null; when: string; hits: number; timestep: number | null; action: "pause" | "log" | "snapshot"; held: number };
/** One row of the table of watches: a tensor's health now, and its mean at each firing so far. */
export type WatchSpec = { tensor: string; drawn: string | null; shape: string; dtype: string; known: boolean; stats: Stats | null; line: (number | null)[]; box: string; wrong: string; number: string; gradient: string | null; gradient_drawn: string | null; gradient_stats: Stats | null; gradient_number: string };
/** One output on which the second run differs from the first. */
export type Apart = { tensor: string; drawn: string | null; firing: number; frame: string; kind: string; relative: number | null; largest: number | null; at: number[]; a: string; b: string };
/** A node that fired in only one of two runs. */
export type Missing = { name: string; drawn: string | null; run: "A" | "B" };
/** The second run: begun beside the first with something overridden, which never commits; or another recorded one. */
export type Branch = { name: string; cursor: number; total: number; done: boolean; error: string; compared: number; count: number; rows: Apart[]; sizes: Record<string, number>; results: Outcome[]; recorded: boolean; first: string; by: "first" | "norm"; missing: Missing[]; more_missing: number };
/** What the firings so far have cost, by drawn element: its share of the whole and its own figure. */
export type Heat = { kind: "time" | "memory"; total: string; shares: Record<string, number>; labels: Record<string, string>; wires: Record<string, number> };
/** A question before a step. `now`: the run waits for its answer. */
export type QuestionSpec = { tensor: string; drawn: string | null; kind: "shape" | "value" | "sign"; at: number[] | null; of: string; text: string; open: boolean; now: boolean; verdict: "" | "right" | "nearly" | "wrong" | "skipped" };
/** One answer that was given, and what was so. */
export type AnswerSpec = { tensor: string; drawn: string | null; kind: "shape" | "value" | "sign"; at: number[] | null; answer: string; truth: string; verdict: "right" | "nearly" | "wrong" | "skipped"; when: string; firing: number };
/** A convolution or pooling that can be looked into. */
export type ConvLayer = { node: string; op: string; kind: "conv" | "transpose" | "max" | "average"; channels: number; rows: number; cols: number; filters: number; out_rows: number; out_cols: number };
/** A map that the pixel on screen sees (up) or is seen in (down). Buffers: its mean over channels, then for each row of this layer first and last row there, and so for columns. */
export type ConvField = { name: string; node: string; direction: "up" | "self" | "down"; layer: number | null; channels: number; rows: number; cols: number; step: number; limit: number; signed: boolean };
/** How one tensor answers when the picture changes, as shares of its size. */
export type ConvLine = { name: string; role: "map" | "pooled" | "output"; changed: number[]; off: number[] };
/** A recurrent layer that can be looked into. */
export type RNNLayer = { node: string; op: string; units: number; features: number; timesteps: number; batch: number };
/** What every timestep uses. */
export type RNNVariable = { name: string; shape: number[]; numbers: number };
/** Two networks that guess a character from the last n: the recurrent one and a feed-forward one with as many numbers to learn. */
export type RNNContext = { n: number; recurrent: number; forward: number; recurrent_seconds: number; forward_seconds: number; recurrent_numbers: number; forward_numbers: number };
/** Sent once after hello: every operation there is. */
export type Palette = { type: "palette"; version: number; ops: OpSpec[]; categories: string[]; dtypes: string[]; initializers: string[]; examples: Example[]; templates: Template[] };
/** Everything the canvas draws. Sent after hello and after every edit, undo, redo, fold. */
export type Scene = { type: "scene"; revision: number; title: string; path: string | null; dirty: boolean; undo: string | null; redo: string | null; total: number; structure: string; nodes: SceneNode[]; scopes: SceneScope[]; opened: OpenScope[]; edges: SceneEdge[]; diagnostics: Diagnostic[]; select: string | null; chosen: string[]; composites: CompositeSpec[]; notes: NoteSpec[]; frames: FrameSpec[]; storyboard: BookmarkSpec[] };
/** Which bookmark is on show, null for none; `move`: the run is there, now look where it looks. */
export type Story = { type: "story"; at: number | null; move: boolean };
/** A view of the same session looks at this element: it is selected here, and nobody is told. */
export type Select = { type: "select"; name: string };
/** In a view of the same session somebody points at what this element gives: it is lit here; null: no longer. */
export type Pointed = { type: "pointed"; name: string | null };
/** Where the run stands. full=True replaces what the page knows, else it adds to it. */
export type RunState = { type: "state"; mode: "edit" | "run" | "paused" | "past"; cursor: number; length: number; total: number; done: boolean; full: boolean; states: Record<string, "idle" | "ready" | "running" | "done" | "error">; progress: Record<string, number[]>; inputs: Record<string, number[]>; versions: Record<string, number>; thumbs: Thumb[]; gone: string[]; fired: string[]; last: string | null; last_drawn: string | null; last_phase: "forward" | "backward" | "update" | null; last_seconds: number | null; next: string | null; next_drawn: string | null; ready: number; ticks: string | null; names: string[] | null; fetches: string[]; error: Diagnostic | null; live: boolean; let_go: number; timesteps: Record<string, string>; recording: string | null };
/** Answer to ask_clock: when and where each recorded firing took place, in the order of the timeline. Seconds from the run's beginning. */
export type Clock = { type: "clock"; lanes: string[]; start: number[]; took: number[]; lane: number[]; came: number[]; drawn: (string | null)[] };
/** Answer to value: one tensor for the inspector. Buffer 0: float32 rows × cols, downsampled if the tensor is larger. */
export type Value = { type: "value"; tensor: string; known: boolean; shape: (number | string | null)[]; dtype: string; rows: number; cols: number; sampled: boolean; slice: string; lo: number; hi: number; map: "seq" | "div"; json: string | null; stats: Stats | null; again: boolean; formula: string; doc: string; asked: boolean };
/** The document's file, and how things stand with it. Sent after hello and whenever it changes. */
export type File = { type: "file"; path: string | null; name: string; folder: string; dirty: boolean; autosave: boolean; saved: string; trouble: "" | "changed" | "gone" | "failed"; why: string; kept: string };
/** Answer to ask_files: recent files, then those in the notebook's folder and below, newest first: of graphs, or of recorded runs. */
export type Files = { type: "files"; kind: "graph" | "run" | "lecture"; folder: string; rows: FileRow[]; more: boolean };
/** Answer to ask_name: what saving under this name would do. */
export type NameCheck = { type: "name_check"; name: string; file: string; there: string; problem: string };
/** Answer to ask_fits, by operation: the shape it would give if this tensor is all it needs, or why it cannot take it. */
export type Fits = { type: "fits"; tensor: string; shapes: Record<string, string>; whys: Record<string, string>; ports: Record<string, string>; best: string[] };
/** Answer to ask_preview: what these edits would come to. Nothing has changed. */
export type Preview = { type: "preview"; key: string; ok: boolean; text: string; nodes: GhostNode[]; edges: GhostEdge[]; changes: GhostChange[]; cuts: string[]; why: string; sides: Side[]; repair: string };
/** Answer to ask_reach: the ports that a wire from this one would not fit, and why. */
export type Reach = { type: "reach"; port: string; whys: Record<string, string> };
/** Answer to ask_clip: the nodes as text for the clipboard, and how many they are. */
export type Clip = { type: "clip"; text: string; count: number };
/** Answer to ask_find: the best hits of the whole document, drawn or not, and how many there are. */
export type Found = { type: "found"; text: string; hits: Hit[]; total: number };
/** Answer to ask_code: Python that makes the graph or the selected part; `lines` says in which lines (from 0) each node is made. */
export type Code = { type: "code"; text: string; names: string[]; lines: Record<string, number[]>; note: string };
/** Breakpoints, watches, overrides and the branch; sent when any of it has changed. */
export type Debugging = { type: "debugging"; breaks: BreakSpec[]; watches: WatchSpec[]; overridden: string[]; pause_on_bad: boolean; branch: Branch | null; heat: Heat | null; questions: QuestionSpec[]; answers: AnswerSpec[] };
/** Where a NaN, an infinity or a zero began, the drawn elements on the way from there, and the story in sentences. */
export type Why = { type: "why"; kind: string; tensor: string; node: string; drawn: string | null; frame: string; path: string[]; sentences: string[] };
/** What a firing did to one element of its output. */
export type Explained = { type: "explained"; tensor: string; drawn: string | null; index: number[]; arithmetic: string; sentences: string[] };
/** The step was made that a question was about: the answer, the truth, and why it is so. */
export type Revealed = { type: "revealed"; tensor: string; drawn: string | null; kind: "shape" | "value" | "sign"; at: number[] | null; of: string; text: string; answer: string; truth: string; verdict: "right" | "nearly" | "wrong" | "skipped"; sentences: string[] };
/** Something to tell the person: role=status or role=alert. */
export type Notice = { type: "notice"; level: "status" | "alert"; text: string; hint: string; node: string | null; edge: string | null; why: boolean };
/** The cell was run again and the notebook holds an edited document: go on with it, or start from the cell's. */
export type Offer = { type: "offer"; title: string; nodes: number; saved: string };
/** The cell's saved output, for a page that was loaded anew: the notebook passes the kernel's updates on to it no more. */
export type Kept = { type: "kept"; id: string; data: Record<string, unknown>; metadata: Record<string, unknown> };
/** The answer to message `seq` is complete; busy ends. */
export type Done = { type: "done"; seq: number; ok: boolean };
/** The exercise that stands above the canvas, and what the last check of it has found. */
export type Task = { type: "task"; title: string; text: string; hints: string[]; more: number; checks: number; revision: number; solved: boolean; lines: TaskLine[] };
/** How far a training has come. An empty title: none is attached. */
export type TrainingState = { type: "training"; title: string; state: "" | "ready" | "running" | "paused" | "done" | "stopped" | "failed"; step: number; total: number | null; epoch: number; epochs: number | null; seconds: number; left: number | null; values: Record<string, string>; checked: Record<string, string>; kept: number[]; opened: number | null; caught: number | null; waiting: boolean; stop_when: string; stopped: string; error: string; queue: number[]; best: number | null };
/** The recorded numbers. Buffers: for each name the lowest and the highest of every `stride` steps; its means over epochs, for each name; the validation's, for each in `checked`. */
export type Curves = { type: "curves"; names: string[]; steps: number; stride: number; ends: number[]; checked: string[]; bad: (number | null)[] };
/** What a training has come to, as a file to save. */
export type HistoryFile = { type: "history_file"; name: string; base64: string; way: string };
/** Weights, gradients or activations over the steps. Buffers, for each name: lowest and highest value, how many were not finite, each one a step; the shares between, bins × steps. */
export type Histograms = { type: "histograms"; kind: "weights" | "gradients" | "activations"; names: string[]; steps: number[]; bins: number; samples: number; share: number; cost: number; trouble: string };
/** What the classifier says over the plane. Buffers: rows × cols × classes shares, points × 2 places, one label a point. */
export type Boundary = { type: "boundary"; rows: number; cols: number; classes: number; box: number[]; points: number; axes: string[]; step: number };
/** One layer, one sample, one page of it. Buffers (t_count × unit_count each): of an LSTM f i g o c h and the sums zf zi zg zo, of a GRU r z n h and zr zz zn,
    of an RNN u s h; then the state that the page's first step finds (c and h, or h), strip, norm (one a step of the whole sequence, if sent). */
export type LSTMData = { type: "lstm"; version: number; title: string; layer: number; layers: LayerInfo[]; sample: number; samples: number; strip_rows: number; strip_cols: number; strip_channels: number; strip_image: boolean; strip_lo: number; strip_hi: number; strip_map: "seq" | "div"; strip_label: string; c_limit: number; reading: ReadingRow[]; clamps: ClampState[]; clamped_layers: number[]; rerun: boolean; outcomes: Outcome[]; norm: boolean; kind: "lstm" | "gru" | "rnn"; length: number; fired: number; t_from: number; t_count: number; unit_from: number; unit_count: number; data: boolean };
/** Where the debugger or editor stands that a view follows. */
export type Place = { type: "place"; follows: boolean; cursor: number; total: number; firing: number | null; next: string; gone: boolean; loop: boolean; asked: string };
/** Every layer's memory beside the others. Buffers: one a map. */
export type LSTMLayers = { type: "lstm_layers"; sample: number; maps: LSTMLayerMap[] };
/** The size of the error at each step, going back. Buffers: in this layer, in a plain tanh layer of the same size. */
export type LSTMGradient = { type: "lstm_gradient"; layer: number; sample: number; of_loss: boolean; seed: number };
/** How often each unit's gate was shut and open. Buffers: for each gate, shares under 0.1 and over 0.9, one number a unit. */
export type LSTMSaturation = { type: "lstm_saturation"; layer: number; gates: string[]; moments: number; sequences: number };
/** Where the state looked like this. Buffers: one a moment. */
export type LSTMMoments = { type: "lstm_moments"; layer: number; letter: "c" | "h"; way: "cosine" | "distance" | "threshold"; t: number; sample: number; found: LSTMMoment[]; moments: number; sequences: number; seconds: number; own: boolean; limit: number; signed: boolean };
/** One layer, one sample. Buffers: x (channels × rows × cols), y (filters × out_rows × out_cols), kernel, bias, gradient (as y), kernel gradient of this
    sample and of the batch, where there are such; then those of each field. A layer that is not `whole` sends one channel of x and a page of y, sampled. */
export type ConvData = { type: "conv"; version: number; title: string; layer: number; layers: ConvLayer[]; sample: number; samples: number; source: string; result: string; kernel_name: string; size: number[]; stride: number[]; dilation: number[]; padding: number[]; groups: number; adaptive: boolean; count_padding: boolean; out_rows: number; out_cols: number; bias: boolean; x_limit: number; x_signed: boolean; y_limit: number; y_signed: boolean; w_limit: number; whole: boolean; x_step: number; y_step: number; x_from: number; x_count: number; y_from: number; y_count: number; fields: ConvField[]; reach: number[]; shared: number; local: number; dense: number; multiplications: number; changed: boolean; painted: boolean; kernel_edited: boolean; edits: number; rerun: boolean; outcomes: Outcome[]; gradient: string; choices: string[]; can_sweep: boolean };
/** What one window of a large layer sees. Buffers: input (channels × window), kernel (channels × size), bias and value. */
export type ConvWindow = { type: "conv_window"; y: number; x: number; channel: number };
/** The picture changed step by step, and what came of it. */
export type ConvSweep = { type: "conv_sweep"; kind: string; unit: string; still: number; amounts: number[]; lines: ConvLine[] };
/** One layer, one sample, a page of its timesteps. Buffers: x (count × features shown); of each state its values after a timestep (count × units shown), then
    those that the page's first timestep found (units shown). */
export type RNNData = { type: "rnn"; version: number; title: string; layer: number; layers: RNNLayer[]; sample: number; samples: number; run: number; source: string; states: string[]; reverse: boolean; start: number; count: number; features_step: number; units_step: number; x_limit: number; x_signed: boolean; limits: number[]; variables: RNNVariable[]; numbers: number; each: string[]; last: string[]; losses: string[]; automatic: boolean; symbols: string[]; guesses: boolean; beside: RNNContext[]; compares: boolean };
/** How one unit came to its value, timestep by timestep. Buffers: each term (count of the page). */
export type RNNUnit = { type: "rnn_unit"; unit: number; form: string; terms: string[] };
/** What each timestep adds to the gradient of a weight. Buffers, over all timesteps: the part along dW, ‖dW(t)‖, ‖∂L/∂h(t)‖, its part from the outputs of t,
    its part from t + 1; ‖dW‖, and how far the sum of all uses is from the graph's own gradient as a share of its largest number, −1 for a weight that is used elsewhere
    too; then dW (rows × cols) and, from `start`, dW(t) of `count` timesteps. */
export type RNNUses = { type: "rnn_uses"; of: string; weight: string; weights: string[]; rows: number; cols: number; row_step: number; col_step: number; start: number; count: number; limit: number; each_limit: number };
/** The five likeliest next characters after each one that was read. */
export type RNNGuesses = { type: "rnn_guesses"; text: string[]; typed: boolean; context: number; top: string[][]; shares: ((number | null)[])[] };
/** The page is there, or there again. */
export type Hello = { type: "hello"; version: number };
/** Change the document; all edits together are one undo step. See flowlab/io/edits.py for the tags. */
export type Edit = { type: "edit"; edits: Record<string, unknown>[]; merge?: string };
/** A button or key. `node` for fire, run_to, into, out (a scope), reveal and the path or name of open, save, save_as, replace, open_run, compare_run, save_run and replace_run; `cursor` for seek; `scopes` for fold and unfold (empty: all). */
export type Command = { type: "command"; name: "undo" | "redo" | "save" | "run" | "pause" | "step" | "back" | "step_level" | "back_level" | "step_scope" | "step_timestep" | "back_timestep" | "step_pass" | "into" | "out" | "resume" | "seek" | "fire" | "run_to" | "fold" | "unfold" | "reveal" | "stop" | "go_on" | "start_fresh" | "live_on" | "live_off" | "new" | "open" | "save_as" | "replace" | "keep_copy" | "take_theirs" | "overwrite" | "autosave_on" | "autosave_off" | "look" | "open_run" | "compare_run" | "save_run" | "replace_run" | "go_live" | "save_lecture" | "replace_lecture"; node?: string | null; cursor?: number | null; scopes?: string[] };
/** Go to a bookmark, or make one of the present moment: a new one, or in place of another. The rest of a storyboard is changed by edits. */
export type StoryDo = { type: "story_do"; name: "go" | "add" | "replace"; index?: number | null; title?: string; view?: number[] | null; shows?: string[]; selected?: string[]; tensor?: string | null; into?: string | null; panels?: string[] };
/** A breakpoint, watch, override or question. `target` is a node or tensor; `text` a condition, a value in JSON, a slice, a breakpoint's key, the kind of heat, or the order of differences. */
export type Debug = { type: "debug"; name: "break_add" | "break_remove" | "watch_add" | "watch_remove" | "watch_box" | "override" | "override_clear" | "branch" | "branch_drop" | "pause_on_bad_on" | "pause_on_bad_off" | "why_nan" | "why_zero" | "explain" | "heat" | "compare_by" | "ask" | "ask_no_more" | "answer" | "skip"; target?: string | null; text?: string; hits?: number; timestep?: number | null; action?: "pause" | "log" | "snapshot"; at?: number[] | null; language?: string; kind?: "" | "shape" | "value" | "sign" | "gradient sign" };
/** Show this tensor in the inspector. */
export type Ask = { type: "ask"; tensor: string; slice?: string };
/** Which operations could take this tensor? */
export type AskFits = { type: "ask_fits"; tensor: string };
/** What would these edits come to? */
export type AskPreview = { type: "ask_preview"; key: string; edits: Record<string, unknown>[] };
/** Which drawn ports would a wire from here not fit? `port` is a hook, "x:out:0". */
export type AskReach = { type: "ask_reach"; port: string };
/** These nodes and the wires between them as text, please, with the places where they are drawn. */
export type AskClip = { type: "ask_clip"; names: string[]; places?: Record<string, number[]> };
/** Which nodes and scopes of the whole document are called so, or are of an operation that is? */
export type AskFind = { type: "ask_find"; text: string };
/** The Python of these nodes, or of the whole graph. */
export type AskCode = { type: "ask_code"; names?: string[] };
/** A graph file that a person dropped, picked from this machine or pasted: its text. */
export type OpenText = { type: "open_text"; name: string; text: string };
/** Which files can be opened? */
export type AskFiles = { type: "ask_files"; kind?: "graph" | "run" | "lecture" };
/** Can the document, or the run, be saved under this name? */
export type AskName = { type: "ask_name"; name: string; kind?: "graph" | "run" | "lecture" };
/** When did the recorded firings take place, and where? */
export type AskClock = { type: "ask_clock" };
/** The canvas as a PNG data URI, for the notebook's saved output. */
export type Picture = { type: "picture"; png: string; width: number; height: number };
/** What is selected on the canvas. */
export type Selected = { type: "selected"; names: string[] };
/** A button of the exercise. */
export type TaskDo = { type: "do_task"; name: "check" | "hint" };
/** A button of a training: `step` for open, `text` a condition for stop_when; `wait`: does the training wait at the step it is asked for? */
export type Train = { type: "train"; name: "pause" | "go_on" | "stop" | "debug_next" | "open" | "stop_when" | "detach"; step?: number | null; text?: string; wait?: boolean };
/** Show this group. */
export type AskHistograms = { type: "ask_histograms"; kind: "weights" | "gradients" | "activations" };
/** The history of the training as a table, a row a step or an epoch, or as an event file for TensorBoard. */
export type AskHistory = { type: "ask_history"; kind: "step" | "epoch" | "tensorboard" };
/** Show this layer and sample. */
export type LSTMAsk = { type: "lstm_ask"; layer: number; sample: number };
/** Hold a gate of this layer at a value and run again; value null lets it go. `unit` null means all units. */
export type Clamp = { type: "clamp"; layer: number; gate: "f" | "i" | "g" | "o" | "r" | "z" | "n" | "h"; value: number | null; unit?: number | null };
/** Send what is only computed when it is asked for, or take the debugger to where this layer fired. */
export type LSTMMore = { type: "lstm_more"; what: "layers" | "gradient" | "saturation" | "go" };
/** Somebody points at this gate or state; empty: at none. No answer is awaited. */
export type LSTMPoint = { type: "lstm_point"; letter: string };
/** Find moments like the one at the cursor. */
export type LSTMSimilar = { type: "lstm_similar"; letter: "c" | "h"; way: "cosine" | "distance" | "threshold"; threshold: number; units: number[] };
/** Show this layer and sample; of a large layer, these channels. */
export type ConvAsk = { type: "conv_ask"; layer: number; sample: number; x_channel?: number; y_from?: number };
/** What does this window of a large layer see? */
export type ConvLook = { type: "conv_look"; y: number; x: number; channel: number };
/** Run this layer alone with other settings; null keeps one as it is. */
export type ConvSet = { type: "conv_set"; stride?: number | null; padding?: number | null; dilation?: number | null; size?: number | null };
/** Put numbers into the input (channel, row, column, value) or the kernel (out, in, row, column, value) and run again. */
export type ConvEdit = { type: "conv_edit"; what: "input" | "kernel"; cells?: number[][] };
/** Take back what was tried: settings, or paint and kernel as well. */
export type ConvReset = { type: "conv_reset"; what?: "settings" | "input" | "kernel" | "all" };
/** Show the gradient of this: one of the choices. */
export type ConvGradient = { type: "conv_gradient"; of: string };
/** Change the picture step by step: shift, scale, turn or bend. */
export type ConvSweepAsk = { type: "conv_sweep_ask"; kind: string };
/** Show this layer and sample, and the page that holds timestep t. */
export type RNNAsk = { type: "rnn_ask"; layer: number; sample: number; t?: number };
/** How did this unit come to its values? */
export type RNNUnitAsk = { type: "rnn_unit_ask"; unit: number };
/** Go backwards from this scalar, and show the uses of this weight around timestep t; empty: the first of them. */
export type RNNUsesAsk = { type: "rnn_uses_ask"; of?: string; weight?: string; t?: number };
/** What comes next after each character of this text; an empty one is what the run read. Each guess from the last `context` alone; 0: from all. */
export type RNNGuessAsk = { type: "rnn_guess_ask"; text?: string; context?: number };
/** Train a recurrent and a feed-forward network of the same size on the view's text. */
export type RNNCompare = { type: "rnn_compare" };
export type ToPage = Palette | Scene | Story | Select | Pointed | RunState | Clock | Value | File | Files | NameCheck | Fits | Preview | Reach | Clip | Found | Code | Debugging | Why | Explained | Revealed | Notice | Offer | Kept | Done | Task | TrainingState | Curves | HistoryFile | Histograms | Boundary | LSTMData | Place | LSTMLayers | LSTMGradient | LSTMSaturation | LSTMMoments | ConvData | ConvWindow | ConvSweep | RNNData | RNNUnit | RNNUses | RNNGuesses;
export type ToKernel = Hello | Edit | Command | StoryDo | Debug | Ask | AskFits | AskPreview | AskReach | AskClip | AskFind | AskCode | OpenText | AskFiles | AskName | AskClock | Picture | Selected | TaskDo | Train | AskHistograms | AskHistory | LSTMAsk | Clamp | LSTMMore | LSTMPoint | LSTMSimilar | ConvAsk | ConvLook | ConvSet | ConvEdit | ConvReset | ConvGradient | ConvSweepAsk | RNNAsk | RNNUnitAsk | RNNUsesAsk | RNNGuessAsk | RNNCompare;
