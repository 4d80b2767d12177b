// Talks to the server. Changes are sent in their order, one at a time, and again until the server
// has them.

const AGAIN_MS = 1500;

// The answer to a request; throws an Error with `status` and `answer` if the server refuses it, and
// one with status 0 if there is no server.
async function ask(path, body) {
  const options = body && {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  };
  const response = await fetch(path, { credentials: "same-origin", ...options }).catch(() => {
    throw Object.assign(new Error("the server does not answer"), { status: 0 });
  });
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  const text = answer?.error ?? answer?.message ?? `the server answers ${response.status}`;
  throw Object.assign(new Error(text), { status: response.status, answer });
}

class Saver {
  // onState(text, trouble), onConflict(entry, video as the server has it), onRefused(entry, text),
  // onSaved(entry, answer).
  constructor(handlers) {
    // versions: of each video, as known here; confirmed: of its last saved change.
    Object.assign(this, handlers, { queue: [], versions: new Map(), confirmed: new Map() });
    Object.assign(this, { busy: false, held: false });
    addEventListener("online", () => this.run());
    addEventListener("beforeunload", (event) => {
      if (this.queue.length) event.preventDefault(); // the browser asks
    });
  }

  // entry: {video, change}, of a video's number; or of the classes, if the number is null.
  add(entry) {
    this.queue.push(entry);
    this.run();
  }

  // The changes of a video that the server has not confirmed.
  waiting(video) {
    return this.queue.filter((entry) => entry.video === video);
  }

  // Sends nothing until `settle`, because changes of a video meet those of others.
  hold(entry, theirs) {
    this.held = true;
    this.onState("not saved: changed elsewhere, too", true);
    this.onConflict(entry, theirs);
  }

  async run() {
    if (this.busy || this.held) return;
    this.busy = true;
    while (this.queue.length && !this.held) {
      this.onState("saving", false);
      if (!(await this.send(this.queue[0]))) break;
    }
    this.busy = false;
    if (!this.queue.length) this.onState("saved", false);
  }

  // Sends one change; returns whether to go on with the next.
  async send(entry) {
    const { video, change } = entry;
    try {
      const answer = video === null
        ? await ask("/api/classes", change)
        : await ask(`/api/videos/${video}`, bodyOf(change, this.versions.get(video)));
      if (video !== null)
        for (const known of [this.versions, this.confirmed]) known.set(video, answer.version);
      this.queue.shift();
      this.onSaved(entry, answer);
      return true;
    } catch (error) {
      if (error.status === 409 && error.answer?.video) {
        this.hold(entry, error.answer.video);
        return false;
      }
      this.onState(`not saved: ${error.message}`, true);
      if (error.status >= 400 && error.status < 500 && ![401, 403, 429].includes(error.status)) {
        this.queue.shift();
        this.onRefused(entry, error.message);
        return true;
      }
      setTimeout(() => this.run(), AGAIN_MS);
      return false;
    }
  }

  // Goes on after a conflict: with the other's labels, or with the own changes on top of them.
  settle(video, version, again) {
    this.versions.set(video, version);
    if (!again) this.queue = this.queue.filter((entry) => entry.video !== video);
    this.held = false;
    return this.run();
  }
}
