// What the page does with changes: it shows each at once, sends it, and takes it back or does it
// again.

Object.assign(LabelPage.prototype, {
  // Does a change of the open video; null is none. `selecting`: what is selected then.
  change(change, selecting = change?.put?.[0] ?? this.selected) {
    if (!change || !this.open) return;
    const { number, labels } = this.open;
    this.history.record({ video: number, change, inverse: inverse(labels, change) });
    this.selected = selecting;
    this.commit({ video: number, change });
  },

  changeClasses(change) {
    const { put = [], remove = [] } = change, names = new Set(this.classes.map(({ name }) => name));
    const taken = put.find(({ name, was }) => was && names.has(name));
    if (taken) return this.notice(`There is already a class ${taken.name}.`);
    this.history.record({ video: null, change, inverse: inverseClasses(this.classes, change) });
    this.commit({ video: null, change });
  },

  // Shows a change and sends it.
  commit(entry) {
    const { video, change } = entry;
    if (video === null) {
      this.classes = changedClasses(this.classes, change);
      if (this.open) this.open.labels = renamedLabels(this.open.labels, change);
    } else if (this.open?.number === video) this.open.labels = changed(this.open.labels, change);
    this.saver.add(entry);
    if (this.open) this.update();
  },

  // Undoes (-1) or does again (1), one after the other, also if another video has to be opened.
  takeBack(direction) {
    this.turning = (this.turning ?? Promise.resolve()).then(() => this.turn(direction))
      .catch((error) => this.notice(`Not undone: ${error.message}`));
  },

  async turn(direction) {
    const entry = direction < 0 ? this.history.undo() : this.history.redo();
    if (!entry) return this.say(direction < 0 ? "Nothing to undo." : "Nothing to redo.");
    const { video } = entry, change = direction < 0 ? entry.inverse : entry.change;
    if (video !== null && this.open?.number !== video) {
      history.pushState(null, "", `#video=${video}`);
      await this.route();
    }
    this.selected = change.put?.[0] ?? change.unaccept?.[0] ?? change.unreject?.[0] ?? null;
    this.commit({ video, change });
    if (this.selected?.start !== undefined) this.player.seek(this.selected.start);
  },

  add(label, start, end) {
    const { name } = this.classes[label];
    this.current = label;
    this.change(addition(name, start, end));
  },

  // Changes fields of an item. New times, and those of a suggestion, go to frames; the end stays
  // after the start.
  edit(item, fields) {
    const { start = item.start, end = item.end } = fields;
    const times = isSuggestion(item) || "start" in fields || "end" in fields;
    if (times && end <= start) return this.say("A label must end after its start.");
    const [first, last] = this.player.frames.span(start, end);
    const changes = times ? { ...fields, start: first, end: last } : fields;
    if (Object.entries(changes).some(([name, value]) => (item[name] ?? "") !== value))
      this.change(edited(item, changes));
  },

  // Chooses a class: that of the selected label, and of the next ones.
  choose(index) {
    if (!this.open || !this.classes[index]) return;
    this.current = index;
    const { name } = this.classes[index];
    if (this.selected && this.selected.label !== name) this.edit(this.selected, { label: name });
    else this.update();
    this.say(this.selected ? describeItem(this.selected) : `Next label: ${name}`);
  },

  // The server has a change. `theirs` comes with the answer if others changed the video, too: what
  // still waits is put on top, unless it changes what they changed.
  saved({ video, change }, { version, video: theirs }) {
    if (!this.foreign.delete(version)) this.own.add(version);
    if (video === null) return this.savedClasses(change, version);
    if (video !== this.open?.number) return;
    const before = (this.open.saved = changed(this.open.saved, change));
    const waiting = this.saver.waiting(video);
    if (theirs) {
      const met = waiting.find((entry) => meets(entry.change, before, labelsOf(theirs)));
      if (met) return this.saver.hold(met, theirs);
      this.takeBeneath(theirs);
    } else if (this.foreign.size && !waiting.length) this.load(video);
  },

  // A change of classes changes the labels of all videos, so they have its version.
  savedClasses(change, version) {
    if (!this.open) return;
    this.open.saved = renamedLabels(this.open.saved, change);
    if (!this.foreign.size) this.saver.versions.set(this.open.number, version);
  },

  // Takes a video's labels from the server and puts the changes on top that it does not have yet.
  takeBeneath(video) {
    this.take(video);
    for (const { change } of this.saver.waiting(video.number))
      this.open.labels = changed(this.open.labels, change);
    this.update();
  },

  // The server refused a change: shows why, and what the server has.
  refused({ video, change }, text) {
    this.notice(`Not saved: ${text}`);
    this.forget(change);
    this.refresh();
    if (video !== null && video === this.open?.number) this.load(video);
  },

  // After a conflict: the other's labels, or the own changes on top of them.
  settle({ video }, theirs, again) {
    if (!again) for (const { change } of this.saver.waiting(video)) this.forget(change);
    this.saver.settle(video, theirs.version, again);
    if (this.open?.number === video) this.takeBeneath(theirs);
  },

  forget(change) {
    for (const entry of [...this.history.done, ...this.history.undone])
      if (entry.change === change || entry.inverse === change) this.history.forget(entry);
  },
});

// Whether a change is of a segment that differs between two states of the labels.
function meets({ put = [], remove = [] }, before, after) {
  const told = ({ segments }, id) => JSON.stringify(segments.get(id));
  return [...put.map(({ id }) => id), ...remove].some((id) => told(before, id) !== told(after, id));
}

// Asks whose change counts; answer(true) puts the own again.
function askWhose({ change }, theirs, answer) {
  const dialog = part("dialog.conflict"), there = new Map(theirs.segments.map((one) => [one.id, one]));
  const mine = new Map((change.put ?? []).map((one) => [one.id, one]));
  const ids = new Set([...mine.keys(), ...(change.remove ?? [])]);
  const rows = [...ids].filter((id) => JSON.stringify(there.get(id)) !== JSON.stringify(mine.get(id)));
  const told = (segment) => (segment ? describeItem(segment) : "deleted");
  part(".what", dialog).textContent =
    `Another window or program changed ${theirs.name}, too. Choose which change counts.`;
  part("tbody", dialog).replaceChildren(...rows.slice(0, 20).map((id, i) => make("tr", {},
    make("td", { textContent: String(i + 1) }), make("td", { textContent: told(there.get(id)) }),
    make("td", { textContent: told(mine.get(id)) }))));
  for (const button of dialog.querySelectorAll("[data-settle]"))
    button.onclick = () => {
      dialog.close();
      answer(button.dataset.settle === "mine");
    };
  dialog.oncancel = (event) => event.preventDefault(); // one of the two must be chosen
  dialog.showModal();
}
