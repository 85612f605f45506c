"""The messages between kernel and page; `python -m flowlab.widgets.protocol` prints the TypeScript."""
from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

VERSION = 1

Phase = Literal["forward", "backward", "update"]
State = Literal["idle", "ready", "running", "done", "error"]
Mode = Literal["edit", "run", "paused", "past"]
FileKind = Literal["graph", "run", "lecture"]

# ---------------------------------------------------------------- what the palette and the forms are made of


@dataclass(frozen=True, slots=True, kw_only=True)
class AttrSpec:
    """One attribute of an operation: the form field that edits it."""
    name: str
    kind: Literal["int", "float", "bool", "str", "dtype", "shape", "axis", "choice", "ints", "json", "value", "initializer"]
    default: Any = None
    required: bool = False
    choices: list[str] = field(default_factory=list)
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpSpec:
    """One operation, as the palette shows it."""
    type: str                       # "MatMul"
    function: str                   # "matmul"
    category: str                   # "linalg"
    doc: str                        # first line of the docstring
    latex: str = ""
    aliases: list[str] = field(default_factory=list)      # other words a person may type, Chinese too
    label_zh: str = ""
    inputs: list[str] = field(default_factory=list)       # port names; a variadic op lists one name and variadic=True
    optional: list[str] = field(default_factory=list)     # the inputs that may be left open
    variadic: bool = False
    outputs: list[str] = field(default_factory=list)
    attrs: list[AttrSpec] = field(default_factory=list)
    called: str = ""                # what a new one is called, if not as its type
    fires: bool = True              # False: it stands for what comes into a loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A small graph to start from, offered on an empty canvas: clicking it sends these edits as one step."""
    label: str                      # "a line through points"
    edits: list[dict[str, Any]] = field(default_factory=list)


# ---------------------------------------------------------------- what is on the canvas


@dataclass(frozen=True, slots=True, kw_only=True)
class InPort:
    """An input of a drawn node. `port` completes the hook: data-port="NODE:in:PORT"."""
    port: str
    wired: bool
    optional: bool = False
    error: str | None = None
    back: bool = False              # takes what comes back at the next timestep: a wire to it closes no cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class OutPort:
    """An output of a drawn node: data-port="NODE:out:INDEX"; shape and dtype are null while unknown."""
    index: int
    name: str
    tensor: str                     # "MatMul:0", the key of thumbs and of value requests
    shape: str | None               # "(batch, 3)"
    dtype: str | None               # "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneNode:
    """One drawn node."""
    name: str                       # "hidden/MatMul"
    op: str                         # "MatMul"
    label: str                      # "MatMul", the last part of the name
    category: str
    phase: Phase
    source: Literal["placeholder", "constant", "variable"] | None
    scope: str                      # "hidden", "" at the top
    gradient_of: str | None = None  # name of the forward node this belongs to the gradient of
    fetch: bool = False             # marked as a fetch, or a sink when none is marked
    inputs: list[InPort] = field(default_factory=list)
    outputs: list[OutPort] = field(default_factory=list)
    attrs: dict[str, Any] = field(default_factory=dict)   # as the forms edit them
    value: str | None = None        # placeholder's feed or constant's value as JSON text; null when none or too large to edit
    bound: str | None = None        # the notebook's variable that gives the value when a run starts
    value_note: str | None = None   # "float32 (64, 784), set from Python" when it is too large to edit
    x: float | None = None          # null: the page lays it out
    y: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopePort:
    """A boundary port of a folded scope: data-port="SCOPE:in:PORT" or "SCOPE:out:PORT". A composite's have names, others are called as the tensor that passes."""
    port: str
    label: str                      # "" where the port has no name
    wired: bool
    tensor: str | None = None       # what passes, where that is one tensor
    shape: str | None = None
    dtype: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompositeSpec:
    """A composite of the document, as the palette offers it again."""
    of: str                         # a scope that is one use of it
    name: str
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    count: int = 0                  # nodes inside
    uses: int = 1
    category: str = "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSpec:
    """A note on the canvas: Markdown as text."""
    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpec:
    """A titled frame around drawn elements."""
    title: str
    colour: Literal["grey", "blue", "green", "orange", "red", "violet"]
    members: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookmarkSpec:
    """A moment of the storyboard: its note is Markdown as text."""
    title: str
    note: str = ""
    cursor: int | None = None       # firings done; null: nothing runs
    after: str = ""                 # the node that fired last then
    view: list[float] | None = None         # what is in sight: x, y, width, height
    shows: list[str] = field(default_factory=list)        # the elements in it; without them and a view all of the graph
    selected: list[str] = field(default_factory=list)
    tensor: str | None = None       # on show in the inspector
    into: str | None = None         # the input at which the selected wire ends
    panels: list[str] = field(default_factory=list)       # "code", "lanes"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneScope:
    """One folded scope, drawn as a stack of cards: data-scope=NAME. Also what is drawn as one for want of room, with `stack` set."""
    name: str
    label: str
    category: str                   # of the op that gives it its character (recurrent for an lstm, state for an optimizer …)
    phase: Phase
    count: int                      # nodes inside, at any depth; of a stack, what it stands for
    stack: Literal["repeats", "stretch"] | None = None      # one scope again and again, or whatever stands side by side; in no document
    alike: int = 0                  # those with the same number are the same but for their places; 0: there is no other
    inputs: list[str] = field(default_factory=list)       # boundary port ids, used as src_port/dst_port of edges
    outputs: list[str] = field(default_factory=list)
    in_ports: list[ScopePort] = field(default_factory=list)
    out_ports: list[ScopePort] = field(default_factory=list)
    composite: str | None = None    # the function that it is one use of
    shape: str | None = None        # of its principal output
    x: float | None = None
    y: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenScope:
    """One unfolded scope, drawn as a titled frame around its members."""
    name: str
    label: str
    parent: str
    members: list[str] = field(default_factory=list)      # drawn elements directly or deeper inside
    loop: Literal["loop", "branch"] | None = None         # it is the inside of a loop or branch
    node: str | None = None                               # the node of that loop, which gives what comes out


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEdge:
    """One drawn edge: data-edge=ID. `src` and `dst` are drawn elements (a node's or a folded scope's name)."""
    id: str                         # "x:0->hidden/MatMul:a", or "^a->b" for a control edge
    src: str
    src_port: str                   # out index as text, or a scope's boundary port id
    dst: str
    dst_port: str                   # in port name, or a scope's boundary port id
    tensor: str | None              # "x:0"; null for a control edge
    shape: str | None
    dtype: str | None
    phase: Phase
    control: bool = False
    error: str | None = None
    merged: int = 1                 # how many edges this one stands for
    loop: bool = False              # carries a state to the next timestep: drawn back to its start, with a t−1 badge


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One button of an error card: clicking it sends these edits."""
    label: str
    edits: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the tensors that do not fit together; `axes` are those that keep them apart."""
    port: str
    tensor: str
    shape: list[str] = field(default_factory=list)        # ["batch", "3"]
    dtype: str = ""
    axes: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing that does not fit yet: an address and a way out."""
    kind: Literal["shape", "dtype", "missing", "cycle", "attr", "op", "name", "feed"]
    node: str
    port: str | None = None
    axis: int | None = None
    edge: str | None = None         # id of the edge it sits on
    message: str = ""               # "matmul: left columns 5 ≠ right rows 2"
    hint: str = ""
    severe: bool = True             # False: only an open input, no alert
    repairs: list[Repair] = field(default_factory=list)
    sides: list[Side] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostNode:
    """A node that a preview shows where it would stand: in the wire `src` → `dst`."""
    name: str
    op: str
    label: str
    category: str
    attrs: str                      # "axes = (0, 2, 1)"
    shape: str | None
    dtype: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostEdge:
    """A wire that a preview shows; `src` and `dst` are drawn elements or ghosts."""
    src: str
    src_port: str
    dst: str
    dst_port: str
    shape: str | None
    dtype: str | None
    error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostChange:
    """A drawn element that would be another: "(5, 2) → (3, 2)"."""
    element: str
    before: str
    after: str


# ---------------------------------------------------------------- kernel → page


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A graph of `fl.examples` to start from: the command `new` with its name opens it."""
    name: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Sent once after hello: every operation there is."""
    type: Literal["palette"] = "palette"
    version: int = VERSION
    ops: list[OpSpec] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    initializers: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    templates: list[Template] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything the canvas draws. Sent after hello and after every edit, undo, redo, fold."""
    type: Literal["scene"] = "scene"
    revision: int
    title: str
    path: str | None
    dirty: bool
    undo: str | None                # what Undo would undo, "add MatMul"; null disables the button
    redo: str | None
    total: int                      # nodes in the document, drawn or not
    structure: str                  # changes when elements or edges change: keep automatic positions while it stays
    nodes: list[SceneNode] = field(default_factory=list)
    scopes: list[SceneScope] = field(default_factory=list)
    opened: list[OpenScope] = field(default_factory=list)
    edges: list[SceneEdge] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    select: str | None = None       # the element just added: select it
    chosen: list[str] = field(default_factory=list)       # all that was just added or pasted, if it is more than one
    composites: list[CompositeSpec] = field(default_factory=list)
    notes: list[NoteSpec] = field(default_factory=list)
    frames: list[FrameSpec] = field(default_factory=list)
    storyboard: list[BookmarkSpec] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Which bookmark is on show, null for none; `move`: the run is there, now look where it looks."""
    type: Literal["story"] = "story"
    at: int | None = None
    move: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """A view of the same session looks at this element: it is selected here, and nobody is told."""
    type: Literal["select"] = "select"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """In a view of the same session somebody points at what this element gives: it is lit here; null: no longer."""
    type: Literal["pointed"] = "pointed"
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumb:
    """A tensor small enough to paint. `offset` and rows × cols index the float32 of the message's first buffer."""
    tensor: str
    shape: list[int]
    dtype: str
    rows: int
    cols: int
    offset: int
    lo: float                       # scale: seq from lo to hi, div from −hi to hi
    hi: float
    map: Literal["seq", "div"]
    value: str | None = None        # scalars and uniform tensors: "2.55", or "all 0.0417" is uniform=True value="0.0417"
    uniform: bool = False
    nan: int = 0
    inf: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Where the run stands. full=True replaces what the page knows, else it adds to it."""
    type: Literal["state"] = "state"
    mode: Mode
    cursor: int
    length: int
    total: int                      # firings a complete run has; 0 while the graph is not sound
    done: bool
    full: bool
    states: dict[str, State] = field(default_factory=dict)        # drawn nodes and folded scopes that are not idle (full) or that changed
    progress: dict[str, list[int]] = field(default_factory=dict)  # folded scopes: [fired, total]
    inputs: dict[str, list[int]] = field(default_factory=dict)    # nodes waiting at a join: [there, needed]
    versions: dict[str, int] = field(default_factory=dict)        # variables: completed runs that wrote them
    thumbs: list[Thumb] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)                 # tensors no longer computed (after step back)
    fired: list[str] = field(default_factory=list)                # names fired by this command, in order: their tokens travel
    last: str | None = None         # the firing at the cursor: real node name
    last_drawn: str | None = None   # the element it is drawn in
    last_phase: Phase | None = None
    last_seconds: float | None = None
    next: str | None = None         # the node Step would fire
    next_drawn: str | None = None
    ready: int = 0
    ticks: str | None = None        # one of f b u per recorded firing; null: unchanged
    names: list[str] | None = None  # names of the recorded firings, for the timeline's labels; null: unchanged
    fetches: list[str] = field(default_factory=list)              # tensors asked for
    error: Diagnostic | None = None
    live: bool = False              # runs after every edit
    let_go: int = 0                 # recorded firings whose values were let go to stay within the memory budget: computed again when looked at
    timesteps: dict[str, str] = field(default_factory=dict)       # opened loops and branches that have been entered: "t = 2 of 5"
    recording: str | None = None    # the name of the recorded run that is gone through; null: a run that is computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Answer to ask_clock: when and where each recorded firing took place, in the order of the timeline. Seconds from the run's beginning."""
    type: Literal["clock"] = "clock"
    lanes: list[str] = field(default_factory=list)                # "cpu:0", or "cpu:0 · 2" for a second thread of it
    start: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    lane: list[int] = field(default_factory=list)
    came: list[int] = field(default_factory=list)                 # of a copy between devices: the lane it comes from, else -1
    drawn: list[str | None] = field(default_factory=list)         # the element that each is drawn in


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Health of a tensor."""
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    norm: float | None
    zeros: float                    # share, 0 … 1
    nan: int
    inf: int
    counts: list[int] = field(default_factory=list)       # histogram over [lo, hi]
    lo: float = 0.0
    hi: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Answer to value: one tensor for the inspector. Buffer 0: float32 rows × cols, downsampled if the tensor is larger."""
    type: Literal["value"] = "value"
    tensor: str
    known: bool                     # False: not computed yet; the rest describes the declared type
    shape: list[int | str | None] = field(default_factory=list)
    dtype: str = ""
    rows: int = 0
    cols: int = 0
    sampled: bool = False           # True: the picture skips cells
    slice: str = ""                 # which 2-D part of a higher rank is shown, "[0, 0, :, :]"
    lo: float = 0.0
    hi: float = 0.0
    map: Literal["seq", "div"] = "div"
    json: str | None = None         # exact nested list, up to 64 elements
    stats: Stats | None = None
    again: bool = False             # True: it had been let go to stay within the memory budget, and was computed again
    formula: str = ""               # latex of the op
    doc: str = ""
    asked: bool = False             # somebody is asked about it: what it is, is not told


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakSpec:
    """A breakpoint. `key` removes it; `drawn` is the element it is seen on, null for a pattern or what is not drawn."""
    key: str
    target: str                     # "hidden/MatMul" pauses before, "hidden/MatMul:0" after
    drawn: str | None
    when: str = ""                  # a condition, "max > 10"
    hits: int = 1
    timestep: int | None = None
    action: Literal["pause", "log", "snapshot"] = "pause"
    held: int = 0                   # how often it has held in this run


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSpec:
    """One row of the table of watches: a tensor's health now, and its mean at each firing so far."""
    tensor: str
    drawn: str | None
    shape: str
    dtype: str
    known: bool
    stats: Stats | None = None      # of the part in the box
    line: list[float | None] = field(default_factory=list)
    box: str = ""                   # "[0, :, ::2]"
    wrong: str = ""                 # why the box does not fit
    number: str = ""                # where there is but one
    gradient: str | None = None     # the tensor that holds its gradient, where the graph has one
    gradient_drawn: str | None = None
    gradient_stats: Stats | None = None
    gradient_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """One output on which the second run differs from the first."""
    tensor: str
    drawn: str | None
    firing: int                     # firings of the first run that are done right after it
    frame: str
    kind: str                       # "value" or "shape"
    relative: float | None
    largest: float | None
    at: list[int]
    a: str
    b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A node that fired in only one of two runs."""
    name: str
    drawn: str | None
    run: Literal["A", "B"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """The second run: begun beside the first with something overridden, which never commits; or another recorded one."""
    name: str                       # "hidden/Relu:0 overridden at firing 12", or "monday.trace"
    cursor: int
    total: int
    done: bool
    error: str
    compared: int
    count: int                      # outputs that differ
    rows: list[Apart] = field(default_factory=list)               # the first of them
    sizes: dict[str, float] = field(default_factory=dict)         # tensor → relative difference, at most 1
    results: list[Outcome] = field(default_factory=list)
    recorded: bool = False          # both runs are over: all of them is compared, not what has fired so far
    first: str = ""                 # the name of run A, where it has one
    by: Literal["first", "norm"] = "first"
    missing: list[Missing] = field(default_factory=list)          # of two versions of a graph: what is in one of them only
    more_missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """What the firings so far have cost, by drawn element: its share of the whole and its own figure."""
    kind: Literal["time", "memory"]
    total: str                      # "3.4 ms"
    shares: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    wires: dict[str, float] = field(default_factory=dict)       # of memory: each tensor's bytes as a share of the largest one's


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSpec:
    """A question before a step. `now`: the run waits for its answer."""
    tensor: str
    drawn: str | None
    kind: Literal["shape", "value", "sign"]
    at: list[int] | None
    of: str                         # the tensor that it is the gradient of, if it is one
    text: str                       # in the teacher's own words
    open: bool
    now: bool = False
    verdict: Literal["", "right", "nearly", "wrong", "skipped"] = ""     # of the last answer


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSpec:
    """One answer that was given, and what was so."""
    tensor: str
    drawn: str | None
    kind: Literal["shape", "value", "sign"]
    at: list[int] | None
    answer: str
    truth: str
    verdict: Literal["right", "nearly", "wrong", "skipped"]
    when: str
    firing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Debugging:
    """Breakpoints, watches, overrides and the branch; sent when any of it has changed."""
    type: Literal["debugging"] = "debugging"
    breaks: list[BreakSpec] = field(default_factory=list)
    watches: list[WatchSpec] = field(default_factory=list)
    overridden: list[str] = field(default_factory=list)           # tensors
    pause_on_bad: bool = True       # at the first NaN or infinity of a run
    branch: Branch | None = None
    heat: Heat | None = None
    questions: list[QuestionSpec] = field(default_factory=list)
    answers: list[AnswerSpec] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Where a NaN, an infinity or a zero began, the drawn elements on the way from there, and the story in sentences."""
    type: Literal["why"] = "why"
    kind: str
    tensor: str
    node: str
    drawn: str | None
    frame: str
    path: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What a firing did to one element of its output."""
    type: Literal["explained"] = "explained"
    tensor: str
    drawn: str | None
    index: list[int] = field(default_factory=list)
    arithmetic: str = ""
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed:
    """The step was made that a question was about: the answer, the truth, and why it is so."""
    type: Literal["revealed"] = "revealed"
    tensor: str
    drawn: str | None
    kind: Literal["shape", "value", "sign"]
    at: list[int] | None
    of: str
    text: str
    answer: str
    truth: str
    verdict: Literal["right", "nearly", "wrong", "skipped"]
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell the person: role=status or role=alert."""
    type: Literal["notice"] = "notice"
    level: Literal["status", "alert"]
    text: str
    hint: str = ""
    node: str | None = None
    edge: str | None = None
    why: bool = False       # the run has paused at its first NaN or infinity: the page offers to ask why


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The cell was run again and the notebook holds an edited document: go on with it, or start from the cell's."""
    type: Literal["offer"] = "offer"
    title: str
    nodes: int
    saved: str                      # "24 Nov 2026, 14:02"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """The document's file, and how things stand with it. Sent after hello and whenever it changes."""
    type: Literal["file"] = "file"
    path: str | None                # from the notebook's folder, if it is there; null: no file yet
    name: str = ""                  # "net.flow.json"
    folder: str = ""
    dirty: bool = False
    autosave: bool = True
    saved: str = ""                 # "14:02", when it was last read or written here
    trouble: Literal["", "changed", "gone", "failed"] = ""
    why: str = ""                   # changed: what the file holds now; else what went wrong
    kept: str = ""                  # flowlab.id of the cell's saved output


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One file that can be opened."""
    path: str
    name: str
    place: str                      # "" in the notebook's folder, "models" below it, else the whole folder
    when: str                       # "14:02"
    recent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Answer to ask_files: recent files, then those in the notebook's folder and below, newest first: of graphs, or of recorded runs."""
    type: Literal["files"] = "files"
    kind: FileKind = "graph"
    folder: str
    rows: list[FileRow] = field(default_factory=list)
    more: bool = False              # there are more than were looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCheck:
    """Answer to ask_name: what saving under this name would do."""
    type: Literal["name_check"] = "name_check"
    name: str                       # as it was typed
    file: str = ""                  # the file's name
    there: str = ""                 # what stands there already: "7 nodes, changed 14:02"
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """Answer to ask_fits, by operation: the shape it would give if this tensor is all it needs, or why it cannot take it."""
    type: Literal["fits"] = "fits"
    tensor: str
    shapes: dict[str, str] = field(default_factory=dict)
    whys: dict[str, str] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)   # the input that it would go into
    best: list[str] = field(default_factory=list)         # what people most often go on with from such a tensor, the likeliest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Answer to ask_preview: what these edits would come to. Nothing has changed."""
    type: Literal["preview"] = "preview"
    key: str
    ok: bool                        # sound, as far as the edits reach
    text: str                       # for a screen reader: "Transpose: (3, 64) → (64, 3); MatMul gives (batch, 64)."
    nodes: list[GhostNode] = field(default_factory=list)
    edges: list[GhostEdge] = field(default_factory=list)
    changes: list[GhostChange] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)         # ids of wires that would go
    why: str = ""                   # what does not fit then, and where
    sides: list[Side] = field(default_factory=list)
    repair: str = ""                # the first way out of that


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Answer to ask_reach: the ports that a wire from this one would not fit, and why."""
    type: Literal["reach"] = "reach"
    port: str
    whys: dict[str, str] = field(default_factory=dict)    # "MatMul:in:b" → the reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Answer to ask_clip: the nodes as text for the clipboard, and how many they are."""
    type: Literal["clip"] = "clip"
    text: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A node or scope that was found; `drawn` is the element that stands for it now."""
    name: str
    op: str                         # "scope" for a scope
    category: str
    note: str = ""                  # its shape, or how many nodes it holds
    drawn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Answer to ask_find: the best hits of the whole document, drawn or not, and how many there are."""
    type: Literal["found"] = "found"
    text: str
    hits: list[Hit] = field(default_factory=list)
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Answer to ask_code: Python that makes the graph or the selected part; `lines` says in which lines (from 0) each node is made."""
    type: Literal["code"] = "code"
    text: str
    names: list[str] = field(default_factory=list)        # of the selected part; empty: the whole graph
    lines: dict[str, list[int]] = field(default_factory=dict)
    note: str = ""                  # what is left out, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The cell's saved output, for a page that was loaded anew: the notebook passes the kernel's updates on to it no more."""
    type: Literal["kept"] = "kept"
    id: str                         # stands in the output's metadata, flowlab.id
    data: dict[str, Any]
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The answer to message `seq` is complete; busy ends."""
    type: Literal["done"] = "done"
    seq: int
    ok: bool = True


# ---------------------------------------------------------------- page → kernel (every message also carries seq: number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The page is there, or there again."""
    type: Literal["hello"] = "hello"
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Change the document; all edits together are one undo step. See flowlab/io/edits.py for the tags."""
    type: Literal["edit"] = "edit"
    edits: list[dict[str, Any]]
    merge: str = ""                 # edits in a row with the same word are one step of undo: a slider that is dragged


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A button or key. `node` for fire, run_to, into, out (a scope), reveal and the path or name of open, save, save_as, replace, open_run, compare_run, save_run and replace_run; `cursor` for seek; `scopes` for fold and unfold (empty: all)."""
    type: Literal["command"] = "command"
    name: Literal["undo", "redo", "save", "run", "pause", "step", "back", "step_level", "back_level", "step_scope", "step_timestep",
                  "back_timestep", "step_pass", "into", "out", "resume", "seek", "fire", "run_to", "fold", "unfold", "reveal", "stop", "go_on", "start_fresh", "live_on", "live_off",
                  "new", "open", "save_as", "replace", "keep_copy", "take_theirs", "overwrite", "autosave_on", "autosave_off", "look",
                  "open_run", "compare_run", "save_run", "replace_run", "go_live", "save_lecture", "replace_lecture"]
    node: str | None = None
    cursor: int | None = None
    scopes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryDo:
    """Go to a bookmark, or make one of the present moment: a new one, or in place of another. The rest of a storyboard is changed by edits."""
    type: Literal["story_do"] = "story_do"
    name: Literal["go", "add", "replace"]
    index: int | None = None
    title: str = ""
    view: list[float] | None = None
    shows: list[str] = field(default_factory=list)
    selected: list[str] = field(default_factory=list)
    tensor: str | None = None
    into: str | None = None
    panels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debug:
    """A breakpoint, watch, override or question. `target` is a node or tensor; `text` a condition, a value in JSON, a slice, a breakpoint's key, the kind of heat, or the order of differences."""
    type: Literal["debug"] = "debug"
    name: Literal["break_add", "break_remove", "watch_add", "watch_remove", "watch_box", "override", "override_clear", "branch", "branch_drop", "pause_on_bad_on", "pause_on_bad_off",
                  "why_nan", "why_zero", "explain", "heat", "compare_by", "ask", "ask_no_more", "answer", "skip"]
    target: str | None = None
    text: str = ""
    hits: int = 1
    timestep: int | None = None
    action: Literal["pause", "log", "snapshot"] = "pause"
    at: list[int] | None = None
    language: str = "en"
    kind: Literal["", "shape", "value", "sign", "gradient sign"] = ""       # of a question


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Show this tensor in the inspector."""
    type: Literal["ask"] = "ask"
    tensor: str
    slice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFits:
    """Which operations could take this tensor?"""
    type: Literal["ask_fits"] = "ask_fits"
    tensor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskPreview:
    """What would these edits come to?"""
    type: Literal["ask_preview"] = "ask_preview"
    key: str
    edits: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskReach:
    """Which drawn ports would a wire from here not fit? `port` is a hook, "x:out:0"."""
    type: Literal["ask_reach"] = "ask_reach"
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskClip:
    """These nodes and the wires between them as text, please, with the places where they are drawn."""
    type: Literal["ask_clip"] = "ask_clip"
    names: list[str]
    places: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFind:
    """Which nodes and scopes of the whole document are called so, or are of an operation that is?"""
    type: Literal["ask_find"] = "ask_find"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCode:
    """The Python of these nodes, or of the whole graph."""
    type: Literal["ask_code"] = "ask_code"
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenText:
    """A graph file that a person dropped, picked from this machine or pasted: its text."""
    type: Literal["open_text"] = "open_text"
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFiles:
    """Which files can be opened?"""
    type: Literal["ask_files"] = "ask_files"
    kind: FileKind = "graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskClock:
    """When did the recorded firings take place, and where?"""
    type: Literal["ask_clock"] = "ask_clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskName:
    """Can the document, or the run, be saved under this name?"""
    type: Literal["ask_name"] = "ask_name"
    name: str
    kind: FileKind = "graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The canvas as a PNG data URI, for the notebook's saved output."""
    type: Literal["picture"] = "picture"
    png: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What is selected on the canvas."""
    type: Literal["selected"] = "selected"
    names: list[str]


# ---------------------------------------------------------------- an exercise


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLine:
    """One thing that was looked at in a check."""
    ok: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The exercise that stands above the canvas, and what the last check of it has found."""
    type: Literal["task"] = "task"
    title: str
    text: str                       # Markdown
    hints: list[str] = field(default_factory=list)      # those taken so far
    more: int = 0                   # how many are left
    checks: int = 0
    revision: int = 0               # of the scene that was checked
    solved: bool = False
    lines: list[TaskLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDo:
    """A button of the exercise."""
    type: Literal["do_task"] = "do_task"
    name: Literal["check", "hint"]


# ---------------------------------------------------------------- a training


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """How far a training has come. An empty title: none is attached."""
    type: Literal["training"] = "training"
    title: str
    state: Literal["", "ready", "running", "paused", "done", "stopped", "failed"]
    step: int                       # steps done; they count from 0
    total: int | None = None
    epoch: int = 0                  # whole ones
    epochs: int | None = None
    seconds: float = 0.0
    left: float | None = None
    values: dict[str, str] = field(default_factory=dict)    # of the last step, as people read them
    checked: dict[str, str] = field(default_factory=dict)   # of the last epoch, over the validation data
    kept: list[int] = field(default_factory=list)           # the steps that can be opened
    opened: int | None = None
    caught: int | None = None       # the step that was asked for is about to run: open it
    waiting: bool = False           # for the next step
    stop_when: str = ""
    stopped: str = ""               # why it ended
    error: str = ""
    queue: list[int] = field(default_factory=list)          # batches ready, and how many may be; empty without a queue
    best: int | None = None         # the best epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """A button of a training: `step` for open, `text` a condition for stop_when; `wait`: does the training wait at the step it is asked for?"""
    type: Literal["train"] = "train"
    name: Literal["pause", "go_on", "stop", "debug_next", "open", "stop_when", "detach"]
    step: int | None = None
    text: str = ""
    wait: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The recorded numbers. Buffers: for each name the lowest and the highest of every `stride` steps; its means over epochs, for each name; the validation's, for each in `checked`."""
    type: Literal["curves"] = "curves"
    names: list[str]
    steps: int
    stride: int = 1
    ends: list[int] = field(default_factory=list)       # steps done by the end of each epoch
    checked: list[str] = field(default_factory=list)    # names that have validation means
    bad: list[int | None] = field(default_factory=list)     # for each name the first step that is no finite number


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """What a training has come to, as a file to save."""
    type: Literal["history_file"] = "history_file"
    name: str
    base64: str
    way: str                        # how Python writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Histograms:
    """Weights, gradients or activations over the steps. Buffers, for each name: lowest and highest value, how many were not finite, each one a step; the shares between, bins × steps."""
    type: Literal["histograms"] = "histograms"
    kind: Literal["weights", "gradients", "activations"]
    names: list[str]
    steps: list[int] = field(default_factory=list)
    bins: int = 40
    samples: int = 0
    share: float = 0.0              # of the training's time that looking has taken
    cost: float = 0.0               # seconds that one look takes
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What the classifier says over the plane. Buffers: rows × cols × classes shares, points × 2 places, one label a point."""
    type: Literal["boundary"] = "boundary"
    rows: int
    cols: int
    classes: int
    box: list[float] = field(default_factory=list)      # x from, to; y from, to
    points: int = 0
    axes: list[str] = field(default_factory=list)
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskHistory:
    """The history of the training as a table, a row a step or an epoch, or as an event file for TensorBoard."""
    type: Literal["ask_history"] = "ask_history"
    kind: Literal["step", "epoch", "tensorboard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskHistograms:
    """Show this group."""
    type: Literal["ask_histograms"] = "ask_histograms"
    kind: Literal["weights", "gradients", "activations"]


# ---------------------------------------------------------------- the LSTM view


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerInfo:
    """One recurrent layer that can be looked into."""
    node: str                       # "lstm_2/LSTM"
    units: int
    features: int
    timesteps: int
    batch: int
    kind: Literal["lstm", "gru", "rnn"] = "lstm"
    from_the_end: bool = False      # the backward half of a layer that reads from both ends: its step 0 is the input's last


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRow:
    """What one head would answer at each step, with its share."""
    label: str
    symbols: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClampState:
    """A gate held at a value, in one unit or (null) in all of them."""
    gate: Literal["f", "i", "g", "o", "r", "z", "n", "h"]
    value: float
    unit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A fetched value before and after the clamp, as the person would read it: "loss 0.0312 → 4.210"."""
    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMData:
    """One layer, one sample, one page of it. Buffers (t_count × unit_count each): of an LSTM f i g o c h and the sums zf zi zg zo, of a GRU r z n h and zr zz zn,
    of an RNN u s h; then the state that the page's first step finds (c and h, or h), strip, norm (one a step of the whole sequence, if sent)."""
    type: Literal["lstm"] = "lstm"
    version: int = VERSION
    title: str
    layer: int                      # index into layers
    layers: list[LayerInfo] = field(default_factory=list)
    sample: int = 0
    samples: int = 1
    strip_rows: int = 0             # the strip's buffer is rows × cols × channels
    strip_cols: int = 0
    strip_channels: int = 1         # 3: a colour image
    strip_image: bool = False       # an image, 0 … 1, rather than features × time on a colour map
    strip_lo: float = 0.0
    strip_hi: float = 1.0
    strip_map: Literal["seq", "div"] = "seq"
    strip_label: str = ""           # "seq, 24 values a step"
    c_limit: float = 1.0            # scale of c: −limit … limit, fixed over time
    reading: list[ReadingRow] = field(default_factory=list)
    clamps: list[ClampState] = field(default_factory=list)        # of this layer
    clamped_layers: list[int] = field(default_factory=list)       # every layer with a clamp, this one or another
    rerun: bool = True              # False: the source cannot rerun what comes after this layer
    outcomes: list[Outcome] = field(default_factory=list)         # while something is clamped
    norm: bool = False              # the last buffer holds the norm of dL/dc(t), one number a step
    kind: Literal["lstm", "gru", "rnn"] = "lstm"
    length: int = 0                 # how many timesteps of this sample count
    fired: int = 0                  # how many have been computed: fewer than there are while a debugger is in the middle of the layer's loop
    t_from: int = 0                 # a long sequence or a wide layer is sent in pages: the first timestep and unit of this one
    t_count: int = 0
    unit_from: int = 0
    unit_count: int = 0
    data: bool = False              # there is a data set beside the run


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the debugger or editor stands that a view follows."""
    type: Literal["place"] = "place"
    follows: bool
    cursor: int = 0
    total: int = 0
    firing: int | None = None       # where on the record the layer on screen fired
    next: str = ""                  # what fires next
    gone: bool = False              # the layer has not fired there: what is shown is from when it had
    loop: bool = False              # the layer on screen is written out as a loop: it fires timestep by timestep
    asked: str = ""                 # somebody is asked about this: nothing is shown before it is answered


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMLayerMap:
    """What one layer remembers: a buffer steps × units, in the order of the input."""
    node: str
    letter: Literal["c", "h"]
    steps: int
    units: int
    every_step: int                 # a large map is sampled
    every_unit: int
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMLayers:
    """Every layer's memory beside the others. Buffers: one a map."""
    type: Literal["lstm_layers"] = "lstm_layers"
    sample: int
    maps: list[LSTMLayerMap] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMGradient:
    """The size of the error at each step, going back. Buffers: in this layer, in a plain tanh layer of the same size."""
    type: Literal["lstm_gradient"] = "lstm_gradient"
    layer: int
    sample: int
    of_loss: bool                   # False: the sum of the last h stands for the loss
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMSaturation:
    """How often each unit's gate was shut and open. Buffers: for each gate, shares under 0.1 and over 0.9, one number a unit."""
    type: Literal["lstm_saturation"] = "lstm_saturation"
    layer: int
    gates: list[str]
    moments: int
    sequences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMMoment:
    """A moment whose state looked alike. Its buffer: the input around it, rows × steps."""
    sequence: int
    t: int
    score: float
    first: int
    steps: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMMoments:
    """Where the state looked like this. Buffers: one a moment."""
    type: Literal["lstm_moments"] = "lstm_moments"
    layer: int
    letter: Literal["c", "h"]
    way: Literal["cosine", "distance", "threshold"]
    t: int
    sample: int
    found: list[LSTMMoment]
    moments: int
    sequences: int
    seconds: float
    own: bool                       # searched in the run itself: the cursor can go there
    limit: float
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMMore:
    """Send what is only computed when it is asked for, or take the debugger to where this layer fired."""
    type: Literal["lstm_more"] = "lstm_more"
    what: Literal["layers", "gradient", "saturation", "go"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMPoint:
    """Somebody points at this gate or state; empty: at none. No answer is awaited."""
    type: Literal["lstm_point"] = "lstm_point"
    letter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMSimilar:
    """Find moments like the one at the cursor."""
    type: Literal["lstm_similar"] = "lstm_similar"
    letter: Literal["c", "h"]
    way: Literal["cosine", "distance", "threshold"]
    threshold: float
    units: list[int]                # none: all


@dataclass(frozen=True, slots=True, kw_only=True)
class LSTMAsk:
    """Show this layer and sample."""
    type: Literal["lstm_ask"] = "lstm_ask"
    layer: int
    sample: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamp:
    """Hold a gate of this layer at a value and run again; value null lets it go. `unit` null means all units."""
    type: Literal["clamp"] = "clamp"
    layer: int
    gate: Literal["f", "i", "g", "o", "r", "z", "n", "h"]
    value: float | None
    unit: int | None = None


# ---------------------------------------------------------------- the convolution view


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvLayer:
    """A convolution or pooling that can be looked into."""
    node: str
    op: str
    kind: Literal["conv", "transpose", "max", "average"]
    channels: int
    rows: int
    cols: int
    filters: int
    out_rows: int
    out_cols: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvField:
    """A map that the pixel on screen sees (up) or is seen in (down). Buffers: its mean over channels, then for each row of this layer first and last row there, and so for columns."""
    name: str
    node: str
    direction: Literal["up", "self", "down"]
    layer: int | None = None        # its place among the layers, if it is one
    channels: int
    rows: int
    cols: int
    step: int = 1                   # every step-th row and column of the map is sent
    limit: float = 1.0
    signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvData:
    """One layer, one sample. Buffers: x (channels × rows × cols), y (filters × out_rows × out_cols), kernel, bias, gradient (as y), kernel gradient of this
    sample and of the batch, where there are such; then those of each field. A layer that is not `whole` sends one channel of x and a page of y, sampled."""
    type: Literal["conv"] = "conv"
    version: int = VERSION
    title: str
    layer: int                      # index into layers
    layers: list[ConvLayer] = field(default_factory=list)
    sample: int = 0
    samples: int = 1
    source: str = ""                # what it reads: "image:0"
    result: str = ""                # what is shown of it: "conv1/Add:0", with the bias
    kernel_name: str = ""
    size: list[int] = field(default_factory=list)           # rows, columns of a window
    stride: list[int] = field(default_factory=list)
    dilation: list[int] = field(default_factory=list)
    padding: list[int] = field(default_factory=list)        # top, bottom, left, right
    groups: int = 1
    adaptive: bool = False
    count_padding: bool = True
    out_rows: int = 0               # with the settings on screen
    out_cols: int = 0
    bias: bool = False
    x_limit: float = 1.0            # scale of a map: −limit … limit if it has a sign, else 0 … limit
    x_signed: bool = False
    y_limit: float = 1.0
    y_signed: bool = True
    w_limit: float = 1.0
    whole: bool = True
    x_step: int = 1                 # every step-th row and column is sent
    y_step: int = 1
    x_from: int = 0                 # the channels of x and of y that are sent
    x_count: int = 0
    y_from: int = 0
    y_count: int = 0
    fields: list[ConvField] = field(default_factory=list)
    reach: list[int] = field(default_factory=list)          # the closed form: size and jump along rows, along columns; empty where there is none
    shared: int = 0                 # numbers that are learnt: here, with a kernel a place, fully connected
    local: int = 0
    dense: int = 0
    multiplications: int = 0
    changed: bool = False           # stride, padding, dilation or size are not the graph's
    painted: bool = False
    kernel_edited: bool = False
    edits: int = 0                  # how often something was painted, edited or taken back
    rerun: bool = True              # False: the source cannot run again what follows
    outcomes: list[Outcome] = field(default_factory=list)
    gradient: str = ""              # what the gradient is of: "loss", "this map"
    choices: list[str] = field(default_factory=list)        # what it could be of
    can_sweep: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvWindow:
    """What one window of a large layer sees. Buffers: input (channels × window), kernel (channels × size), bias and value."""
    type: Literal["conv_window"] = "conv_window"
    y: int
    x: int
    channel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvLine:
    """How one tensor answers when the picture changes, as shares of its size."""
    name: str
    role: Literal["map", "pooled", "output"]
    changed: list[float] = field(default_factory=list)
    off: list[float] = field(default_factory=list)          # from the tensor changed likewise; empty for what is no map


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvSweep:
    """The picture changed step by step, and what came of it."""
    type: Literal["conv_sweep"] = "conv_sweep"
    kind: str
    unit: str
    still: float
    amounts: list[float] = field(default_factory=list)
    lines: list[ConvLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvAsk:
    """Show this layer and sample; of a large layer, these channels."""
    type: Literal["conv_ask"] = "conv_ask"
    layer: int
    sample: int
    x_channel: int = 0
    y_from: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvLook:
    """What does this window of a large layer see?"""
    type: Literal["conv_look"] = "conv_look"
    y: int
    x: int
    channel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvSet:
    """Run this layer alone with other settings; null keeps one as it is."""
    type: Literal["conv_set"] = "conv_set"
    stride: int | None = None
    padding: int | None = None
    dilation: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvEdit:
    """Put numbers into the input (channel, row, column, value) or the kernel (out, in, row, column, value) and run again."""
    type: Literal["conv_edit"] = "conv_edit"
    what: Literal["input", "kernel"]
    cells: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvReset:
    """Take back what was tried: settings, or paint and kernel as well."""
    type: Literal["conv_reset"] = "conv_reset"
    what: Literal["settings", "input", "kernel", "all"] = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvGradient:
    """Show the gradient of this: one of the choices."""
    type: Literal["conv_gradient"] = "conv_gradient"
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvSweepAsk:
    """Change the picture step by step: shift, scale, turn or bend."""
    type: Literal["conv_sweep_ask"] = "conv_sweep_ask"
    kind: str


# ---------------------------------------------------------------- the view of an unrolled network


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNLayer:
    """A recurrent layer that can be looked into."""
    node: str
    op: str
    units: int
    features: int
    timesteps: int
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNVariable:
    """What every timestep uses."""
    name: str
    shape: list[int] = field(default_factory=list)
    numbers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNContext:
    """Two networks that guess a character from the last n: the recurrent one and a feed-forward one with as many numbers to learn."""
    n: int
    recurrent: float
    forward: float
    recurrent_seconds: float
    forward_seconds: float
    recurrent_numbers: int
    forward_numbers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNData:
    """One layer, one sample, a page of its timesteps. Buffers: x (count × features shown); of each state its values after a timestep (count × units shown), then
    those that the page's first timestep found (units shown)."""
    type: Literal["rnn"] = "rnn"
    version: int = VERSION
    title: str
    layer: int                      # index into layers
    layers: list[RNNLayer] = field(default_factory=list)
    sample: int = 0
    samples: int = 1
    run: int = 0                    # another one: what was worked out of the run before is let go
    source: str = ""                # what it reads: "x"
    states: list[str] = field(default_factory=list)             # "h", "c"
    reverse: bool = False           # from the last timestep to the first
    start: int = 0                  # the page: timesteps start … start + count − 1
    count: int = 0
    features_step: int = 1          # every so-many-th feature and unit is sent
    units_step: int = 1
    x_limit: float = 1.0
    x_signed: bool = True
    limits: list[float] = field(default_factory=list)           # of each state: −limit … limit
    variables: list[RNNVariable] = field(default_factory=list)
    numbers: int = 0                # that the layer learns
    each: list[str] = field(default_factory=list)               # who reads what every timestep gives out
    last: list[str] = field(default_factory=list)               # who reads the last state
    losses: list[str] = field(default_factory=list)
    automatic: bool = False         # small enough to work the gradients out unasked
    symbols: list[str] = field(default_factory=list)            # the character that each timestep of the page read, if it reads characters
    guesses: bool = False           # a text can be typed
    beside: list[RNNContext] = field(default_factory=list)
    compares: bool = False          # can be trained beside a feed-forward network


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNUnit:
    """How one unit came to its value, timestep by timestep. Buffers: each term (count of the page)."""
    type: Literal["rnn_unit"] = "rnn_unit"
    unit: int
    form: str                       # RNN, GRU, LSTM, or the operation that a scan's state comes of
    terms: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNUses:
    """What each timestep adds to the gradient of a weight. Buffers, over all timesteps: the part along dW, ‖dW(t)‖, ‖∂L/∂h(t)‖, its part from the outputs of t,
    its part from t + 1; ‖dW‖, and how far the sum of all uses is from the graph's own gradient as a share of its largest number, −1 for a weight that is used elsewhere
    too; then dW (rows × cols) and, from `start`, dW(t) of `count` timesteps."""
    type: Literal["rnn_uses"] = "rnn_uses"
    of: str
    weight: str
    weights: list[str] = field(default_factory=list)
    rows: int = 0                   # as sent
    cols: int = 0
    row_step: int = 1
    col_step: int = 1
    start: int = 0
    count: int = 0
    limit: float = 1.0
    each_limit: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNGuesses:
    """The five likeliest next characters after each one that was read."""
    type: Literal["rnn_guesses"] = "rnn_guesses"
    text: list[str] = field(default_factory=list)
    typed: bool = False             # by a person, not what the run read
    context: int = 0                # each guess is made from so many; 0: from all before
    top: list[list[str]] = field(default_factory=list)
    shares: list[list[float | None]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNAsk:
    """Show this layer and sample, and the page that holds timestep t."""
    type: Literal["rnn_ask"] = "rnn_ask"
    layer: int
    sample: int
    t: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNUnitAsk:
    """How did this unit come to its values?"""
    type: Literal["rnn_unit_ask"] = "rnn_unit_ask"
    unit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNUsesAsk:
    """Go backwards from this scalar, and show the uses of this weight around timestep t; empty: the first of them."""
    type: Literal["rnn_uses_ask"] = "rnn_uses_ask"
    of: str = ""
    weight: str = ""
    t: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNGuessAsk:
    """What comes next after each character of this text; an empty one is what the run read. Each guess from the last `context` alone; 0: from all."""
    type: Literal["rnn_guess_ask"] = "rnn_guess_ask"
    text: str = ""
    context: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RNNCompare:
    """Train a recurrent and a feed-forward network of the same size on the view's text."""
    type: Literal["rnn_compare"] = "rnn_compare"


TO_PAGE = (Palette, Scene, Story, Select, Pointed, RunState, Clock, Value, File, Files, NameCheck, Fits, Preview, Reach, Clip, Found, Code, Debugging, Why, Explained, Revealed, Notice, Offer, Kept, Done, Task, TrainingState, Curves, HistoryFile, Histograms, Boundary, LSTMData, Place, LSTMLayers, LSTMGradient, LSTMSaturation, LSTMMoments,
           ConvData, ConvWindow, ConvSweep, RNNData, RNNUnit, RNNUses, RNNGuesses)
TO_KERNEL = (Hello, Edit, Command, StoryDo, Debug, Ask, AskFits, AskPreview, AskReach, AskClip, AskFind, AskCode, OpenText, AskFiles, AskName, AskClock, Picture, Selected, TaskDo, Train, AskHistograms, AskHistory, LSTMAsk, Clamp, LSTMMore, LSTMPoint, LSTMSimilar,
             ConvAsk, ConvLook, ConvSet, ConvEdit, ConvReset, ConvGradient, ConvSweepAsk, RNNAsk, RNNUnitAsk, RNNUsesAsk, RNNGuessAsk, RNNCompare)
# these say in `re` which message they come of: of two views of one lab, each knows its own questions by it
ASKED = frozenset({"scene", "value", "fits", "preview", "reach", "clip", "found", "code", "files", "name_check", "clock"})
PIECES = (Template, FileRow, AttrSpec, OpSpec, Example, InPort, OutPort, SceneNode, ScopePort, CompositeSpec, NoteSpec, FrameSpec, BookmarkSpec, SceneScope, OpenScope, SceneEdge, Repair, Side, Diagnostic, GhostNode, GhostEdge, GhostChange, Thumb, Stats, Hit,
          LayerInfo, LSTMLayerMap, LSTMMoment, ReadingRow, ClampState, Outcome, TaskLine, BreakSpec, WatchSpec, Apart, Missing, Branch, Heat, QuestionSpec, AnswerSpec,
          ConvLayer, ConvField, ConvLine, RNNLayer, RNNVariable, RNNContext)


def as_json(message: Any) -> dict[str, Any]:
    """The message as plain JSON values."""
    return {name: _plain(getattr(message, name)) for name in _fields(type(message))}


@functools.cache
def _fields(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(cls))


_PLAIN = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any) -> Any:
    # dataclasses.asdict does this too, and copies every number and text deeply: most of what an answer took
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list or kind is tuple:
        return [v if type(v) in _PLAIN else _plain(v) for v in value]
    if kind is dict:
        return {k: v if type(v) in _PLAIN else _plain(v) for k, v in value.items()}
    return as_json(value) if dataclasses.is_dataclass(value) else value


def _ts(t: Any) -> str:
    origin, args = typing.get_origin(t), typing.get_args(t)
    if origin is Literal:
        return " | ".join(f'"{a}"' for a in args)
    if origin is list:
        inner = _ts(args[0])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if origin is dict:
        return f"Record<string, {_ts(args[1])}>"
    if args:
        return " | ".join(_ts(a) for a in args)
    names = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "unknown"}
    return names.get(t) or t.__name__


def _optional(cls: type, field: dataclasses.Field) -> str:
    # the page may leave out what has a default; the kernel never does, asdict writes every field
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return "?" if cls in TO_KERNEL and field.name != "type" and has_default else ""


def render() -> str:
    """The same messages as TypeScript types."""
    out = ["// Written by flowlab/widgets/protocol.py; run `make protocol`.", f"export const VERSION = {VERSION};"]
    for cls in (*PIECES, *TO_PAGE, *TO_KERNEL):
        hints = typing.get_type_hints(cls)
        fields = "; ".join(f"{f.name}{_optional(cls, f)}: {_ts(hints[f.name])}" for f in dataclasses.fields(cls))
        out.append(f"/** {cls.__doc__} */\nexport type {cls.__name__} = {{ {fields} }};")
    out.append("export type ToPage = " + " | ".join(c.__name__ for c in TO_PAGE) + ";")
    out.append("export type ToKernel = " + " | ".join(c.__name__ for c in TO_KERNEL) + ";")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    print(render(), end="")
