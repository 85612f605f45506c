// From a disk a browser starts no worker, so there the search runs in a hidden frame that is spoken to in the same way.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = `<script>self.postMessage = data => parent.postMessage(data, "*")</script><script src="${address}"></script>`;
      this.loaded = new Promise(done => this.frame.addEventListener("load", done, { once: true }));
      window.addEventListener("message", event => {
        if (event.source === this.frame.contentWindow) this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      document.body.append(this.frame);
    }
    postMessage(data) {
      // the frame's own postMessage is the way out: the way in is that of every window
      this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new this.frame.contentWindow.MessageEvent("message", { data, source: window })));
    }
    terminate() { this.frame.remove(); }
  };
}
