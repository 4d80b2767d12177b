// The page on which videos are labelled: it holds what is open, and connects the parts.

class LabelPage {
  constructor() {
    Object.assign(this, { classes: [], open: null, selected: null, current: 0, loaded: 0 });
    this.history = new History();
    this.own = new Set(); // versions that this page made and that were not announced yet
    this.foreign = new Set(); // versions of the open video that were announced, but are not known
    this.copies = new Map(); // what was told of copies since their videos were asked for
    this.list = new VideoList(part(".videos"));
    this.saver = new Saver({
      onState: (text, trouble) => this.showSaved(text, trouble),
      onSaved: (entry, answer) => this.saved(entry, answer),
      onRefused: (entry, text) => this.refused(entry, text),
      onConflict: (entry, theirs) => askWhose(entry, theirs, (again) => this.settle(entry, theirs, again)),
    });
    const section = part(".video");
    this.player = new FramePlayer(part(".screen"), (...at) => this.at(...at), () => this.unplayable());
    this.timeline = new LabelTimeline(part(".timeline", section), {
      pick: (item, time) => this.pick(item, time),
      drag: (time) => this.player.seek(time),
      change: (item, fields) => this.change(edited(item, fields)),
      add: (label, start, end) => this.add(label, start, end),
    });
    this.waveform = new Waveform(part(".waveform"), this.timeline);
    this.whole = new WholeVideo(part(".whole"), this.timeline);
    this.timeline.onView = () => this.draw();
    this.classList = new ClassList(part(".classes"), (index) => this.choose(index),
      (change) => this.changeClasses(change));
    this.panel = new SelectedPanel(part(".selected"), (item, fields) => this.edit(item, fields));
    this.suggestions = new SuggestionBar(part(".suggesting"));
    this.learn = new LearnPanel(part(".learn"), part(".learning"));
    this.statistics = new Statistics(part(".overview"));
  }

  async start() {
    showKeys(part("dialog.keys > div"));
    await this.refresh();
    listenToKeys((action) => this.act(action), (index) => this.choose(index));
    for (const button of document.querySelectorAll("[data-do]"))
      button.addEventListener("click", () => this.act(button.dataset.do));
    addEventListener("hashchange", () => this.route());
    listenToServer(this);
    await this.route();
  }

  act(name) {
    const needsVideo = !EVERYWHERE.has(name);
    if (needsVideo && !this.open) return;
    ACTIONS[name](this);
  }

  // Fetches the project again.
  async refresh() {
    const project = await ask("/api/project");
    this.list.show(project.videos);
    this.learn.show(project.learn);
    this.setClasses(project.classes);
    if (project.message) this.notice(project.message);
    if (!this.open) this.showOverview();
  }

  async showOverview() {
    const paint = (counts) => this.statistics.show([...this.list.videos.values()], counts,
      new Map(this.classes.map(({ name, color }) => [name, color])));
    paint(this.counts);
    this.counts = await ask("/api/statistics").catch(() => this.counts); // without it, the last
    paint(this.counts);
  }

  // Shows what the address names.
  async route() {
    const [, number] = location.hash.match(/^#video=(\d+)$/) ?? [];
    const known = this.list.videos.has(Number(number));
    document.body.dataset.view = known ? "video" : location.hash === "#overview" ? "overview" : "list";
    part(".video").hidden = !known;
    part(".overview").hidden = known;
    if (known) return this.load(Number(number));
    this.player.close();
    this.list.select(null);
    this.open = this.selected = null;
    this.showOverview();
  }

  // Opens a video, or fetches it again.
  async load(number) {
    const turn = ++this.loaded;
    this.copies.delete(number);
    let video;
    do video = await ask(`/api/videos/${number}`); // again if it is older than what was saved since
    while (video.version < (this.saver.confirmed.get(number) ?? 0));
    if (turn !== this.loaded) return;
    const { proxy, progress } = this.copies.get(number) ?? video;
    if (this.open?.number === number) {
      if (!this.player.element) this.showVideo(proxy, progress);
      return this.takeBeneath(video);
    }
    this.take(video);
    this.selected = null;
    this.list.select(number);
    const frames = new Frames(video.times, video.duration);
    part(".video h2").textContent = video.name;
    part(".video .length").textContent = `${clock(video.duration)}, ${counted(frames.times.length, "frame")}`;
    part("[data-do=sound]").hidden = !this.list.videos.get(number).sound;
    Object.assign(this.player, { frames, index: 0, loop: null });
    this.timeline.load({ duration: frames.duration }, frames);
    this.showVideo(proxy, progress);
    this.waveform.show(null);
    this.update();
    if (!this.list.videos.get(number).sound) return;
    const wave = await ask(`/waveform/${number}`).catch(() => null);
    if (this.open?.number === number) this.waveform.show(wave);
  }

  // Takes the labels of a video as the server has them.
  take(video) {
    const { number, version } = video;
    this.saver.versions.set(number, version);
    const labels = labelsOf(video);
    this.open = { number, labels, saved: labels, version };
    this.foreign.clear();
  }

  // Plays the file, or says how far its copy is.
  showVideo(proxy, progress) {
    const ready = proxy === "none" || proxy === "ready", note = part(".copying");
    note.hidden = ready;
    const share = proxy === "making" ? `, ${Math.round(100 * progress)} %` : "";
    note.textContent = proxy === "failed" ? "This file cannot be shown."
      : `This browser cannot play the file. A copy with the same times is being made${share}.`;
    if (ready) this.player.open(`/media/${this.open.number}`, this.player.frames, this.player.time);
    else {
      this.player.close();
      this.player.goTo(this.player.index);
    }
  }

  unplayable() {
    part(".copying").hidden = false;
    part(".copying").textContent = "This browser cannot play the file.";
  }

  at(time, frame, playing) {
    this.timeline.setTime(time, playing);
    part(".transport .time").textContent = clock(time, 3);
    part(".transport .frame").textContent = `frame ${grouped(frame)}`;
    part("[data-do=play]").textContent = playing ? "❚❚" : "▶";
    if (!this.whole.pending) this.whole.pending = requestAnimationFrame(() => {
      this.whole.pending = 0;
      this.whole.draw();
    });
  }

  draw() {
    this.waveform.draw();
    this.whole.draw();
  }

  setClasses(classes) {
    const fresh = classes.map(({ name, color }) =>
      ({ name, color: /^#[0-9a-f]{6}$/i.test(color) ? color : "#808080" }));
    if (JSON.stringify(fresh) === JSON.stringify(this.classes)) return;
    this.classes = fresh;
    if (this.open) this.update();
  }

  // Shows the labels of the open video and of the selection.
  update() {
    const { number, labels } = this.open, segments = [...labels.segments.values()];
    const suggestions = [...labels.suggestions.values()];
    this.items = inTime([...segments, ...suggestions]);
    const known = new Set(this.classes.map(({ name }) => name));
    for (const { label } of this.items)
      if (!known.has(label)) {
        this.classes = [...this.classes, { name: label, color: freeColor(this.classes) }];
        known.add(label);
      }
    this.current = Math.min(this.current, Math.max(this.classes.length - 1, 0));
    this.timeline.current = this.current;
    this.timeline.display(this.items, this.classes);
    const counts = new Map();
    for (const { label } of segments) counts.set(label, (counts.get(label) ?? 0) + 1);
    this.classList.show(this.classes, counts);
    this.suggestions.show(suggestions);
    this.list.update(number, {
      segments: segments.length, suggestions: suggestions.length, reviewed: labels.reviewed,
    });
    part("[data-do=reviewed]").setAttribute("aria-pressed", labels.reviewed);
    this.select(this.items.find(({ id }) => id === this.selected?.id) ?? null);
  }

  select(item) {
    this.selected = item;
    this.timeline.selectItem(item);
    const color = this.classes.find(({ name }) => name === item?.label)?.color;
    const hint = this.classes.length
      ? "Nothing is selected. Mark a start and an end, or drag along a lane."
      : "Add your first class, for example jump.";
    this.panel.show(item, color, hint);
    const chosen = item ? this.classes.findIndex(({ name }) => name === item.label) : this.current;
    this.classList.mark(chosen);
    for (const name of ["accept", "reject"])
      part(`.suggesting [data-do=${name}]`).disabled = !item || !isSuggestion(item);
    if (this.player.loop && item) this.player.loop = item;
    if (this.player.loop && !item) this.player.repeat(null);
    part("[data-do=loop]").setAttribute("aria-pressed", Boolean(this.player.loop));
    if (item) this.say(describeItem(item));
  }

  say(text) {
    part(".lanes-card .status").textContent = text;
  }

  pick(item, time) {
    this.select(item);
    this.player.seek(item ? item.start : time);
    if (!item) this.say("");
  }

  showSaved(text, trouble) {
    const word = part(".saved");
    word.textContent = text;
    word.dataset.state = trouble ? "trouble" : text;
  }

  notice(text) {
    part(".notice span").textContent = text;
    part(".notice").hidden = !text;
  }
}
