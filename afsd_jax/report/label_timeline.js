// The timeline of a video that is being labelled: segments as full bars, suggestions hatched, a lane
// for each class also when it is empty, and at high zoom a mark for each frame.

const HATCH = 7, LEAST_FRAME = 5, GRIP = 4; // pixels
const MOST_EMPTY = 20; // of more classes, only those in use have lanes

class LabelTimeline extends Timeline {
  // app: {pick(item, time), drag(time), change(item, fields), add(label index, start, end)}, called
  // for what the reader does.
  constructor(root, app) {
    super(root, { duration: 1 }, [], (bar, time) => app.pick(bar?.item ?? null, time));
    Object.assign(this, { app, frames: new Frames([], 1), mark: null, preview: null, current: 0 });
    [this.barOf, this.hatches] = [new Map(), new Map()];
  }

  // Begins with a video; `video` has its duration, `frames` the times of its frames.
  load(video, frames) {
    Object.assign(this, { video, frames, from: 0, to: video.duration, mark: null, selected: null });
    const length = video.duration / frames.times.length;
    this.shortest = Math.min(12 * length, video.duration);
  }

  // items: segments and suggestions; classes: name and color of each.
  display(items, classes) {
    const indexOf = new Map(classes.map(({ name }, index) => [name, index]));
    this.classes = classes;
    this.barOf = new Map();
    const bars = items.map((item) => {
      const { id, label, start, end, score = 1 } = item, hatched = isSuggestion(item);
      const bar = { label: indexOf.get(label), start, end, score, item, hatched };
      this.barOf.set(id, bar);
      return bar;
    });
    const used = new Set(bars.map(({ label }) => label)), few = classes.length <= MOST_EMPTY;
    const lanes = classes.map((_, label) => new Lane(label));
    for (const hatched of [false, true]) // segments have the upper rows
      for (const bar of bars) if (bar.hatched === hatched) lanes[bar.label].shown.push(bar);
    this.lanes = lanes.filter(({ label }) => few || used.has(label) || label === this.current);
    for (const lane of this.lanes) lane.stack();
    this.laneOf = new Map(this.lanes.map((lane) => [lane.label, lane]));
    this.selected = this.barOf.get(this.selected?.item.id) ?? null;
    this.palettes = null;
    this.hatches.clear();
    this.layout();
  }

  selectItem(item) {
    this.select(this.barOf.get(item?.id) ?? null);
  }

  // Shows where the next segment starts; null: nowhere.
  setMark(time) {
    this.mark = time;
    this.redraw();
  }

  setTime(time, follow) {
    super.setTime(time, follow);
    if (this.mark !== null) this.redraw();
  }

  textOn(bar) {
    return bar.hatched ? super.textOn(bar) : "";
  }

  drawGrid() {
    super.drawGrid();
    const { pen, theme, frames } = this, last = frames.times.length - 1;
    const first = frames.at(this.from), count = frames.at(this.to) - first + 1;
    if ((this.width - this.left) / count < LEAST_FRAME) return;
    pen.fillStyle = theme.muted;
    for (let i = first; i <= Math.min(first + count, last); i++)
      if (frames.times[i] >= this.from) pen.fillRect(Math.round(this.x(frames.times[i])), AXIS - 4, 1, 4);
  }

  drawBar(bar) {
    if (bar.item.id === this.preview?.item.id) return;
    if (bar.hatched) this.drawHatched(bar);
    else super.drawBar(bar);
    const { note } = bar.item;
    if (note) this.drawNote(bar, note);
  }

  drawHatched(bar) {
    const { pen, theme } = this, [x, y, width, height] = this.place(bar);
    if (y + height < AXIS || y > this.height) return;
    const { color } = this.classes[bar.label];
    pen.fillStyle = mix(color, theme.card, 0.12);
    pen.beginPath();
    pen.roundRect(x + 0.5, y + 0.5, Math.max(width - 1, 1), height - 1, 4);
    pen.fill();
    pen.fillStyle = this.hatch(color);
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = color;
    pen.setLineDash([3, 2]);
    pen.stroke();
    pen.setLineDash([]);
    if (width < LEAST_NUMBERED + 6) return;
    pen.font = `11px ${this.font}`;
    pen.textAlign = "center";
    pen.fillStyle = theme.card;
    pen.fillRect(x + width / 2 - 14, y + 3, 28, height - 6);
    pen.fillStyle = theme.ink;
    pen.fillText(this.textOn(bar), x + width / 2, y + height / 2 + 0.5);
  }

  hatch(color) {
    if (!this.hatches.has(color)) {
      const scale = devicePixelRatio || 1, tile = new OffscreenCanvas(HATCH * scale, HATCH * scale);
      const pen = tile.getContext("2d");
      pen.scale(scale, scale);
      pen.strokeStyle = mix(color, this.theme.card, 0.45);
      pen.lineWidth = 1.5;
      for (const shift of [-HATCH, 0, HATCH]) {
        pen.moveTo(shift - 1, HATCH + 1);
        pen.lineTo(shift + HATCH + 1, -1);
      }
      pen.stroke();
      const pattern = this.pen.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / scale));
      this.hatches.set(color, pattern);
    }
    return this.hatches.get(color);
  }

  drawNote(bar, note) {
    const { pen } = this, [x, y, width, height] = this.place(bar);
    if (width < LEAST_NUMBERED) return;
    pen.save();
    pen.beginPath();
    pen.rect(Math.max(x, this.left) + 6, y, x + width - 12 - Math.max(x, this.left), height);
    pen.clip();
    pen.font = `11px ${this.font}`;
    pen.textAlign = "left";
    pen.fillStyle = inkOn(this.palettes[bar.label].at(-1));
    pen.fillText(note.slice(0, 200), Math.max(x, this.left) + 6, y + height / 2 + 0.5);
    pen.restore();
  }

  // The selected bar has grips; what is dragged, or marked so far, is drawn on top.
  outline(bar) {
    if (bar.item.id === this.preview?.item.id) return;
    super.outline(bar);
    const { pen } = this, [x, y, width, height] = this.place(bar);
    if (width < 5 * GRIP) return;
    pen.fillStyle = this.theme.ink;
    for (const at of [x + 4, x + width - 6]) pen.fillRect(at, y + 5, 2, height - 10);
  }

  draw() {
    super.draw();
    const { pen, mark, preview } = this;
    if (mark === null && !preview) return;
    pen.save();
    pen.beginPath();
    pen.rect(this.left, AXIS - 6, this.width - this.left - PAD / 2, this.height);
    pen.clip();
    if (preview) this.drawFree(preview, preview.row);
    if (mark !== null) {
      const [start, end] = [Math.min(mark, this.time), Math.max(mark, this.time)];
      this.drawFree({ label: this.current, start, end }, 0);
      pen.fillStyle = this.theme.accent;
      pen.fillRect(Math.round(this.x(mark)) - 1, AXIS - 6, 2, this.height);
    }
    pen.restore();
  }

  // A bar that belongs to no lane yet.
  drawFree({ label, start, end }, row) {
    const { pen } = this, lane = this.laneOf.get(label);
    if (!lane) return;
    const y = AXIS + lane.top - this.scroll.scrollTop + this.top + GAP / 2 + row * (BAR + BETWEEN);
    const x = this.x(start), width = Math.max(this.x(end) - x, 2);
    pen.fillStyle = this.palettes[label].at(-1);
    pen.globalAlpha = 0.75;
    pen.beginPath();
    pen.roundRect(x, y, width, BAR, 4);
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 2;
    pen.strokeStyle = this.theme.ink;
    pen.stroke();
  }

  colors() {
    super.colors();
    this.theme.accent = getComputedStyle(this.root).getPropertyValue("--accent").trim();
  }
}
