// A video's timeline on a canvas: a lane for each class, with true segments as thin bars above the
// detected ones. Overlapping bars are in rows of their lane. Only the visible part is drawn. Times
// are seconds.

const AXIS = 26, BAR = 20, TRUE_BAR = 8, BETWEEN = 2, GAP = 6, NAME = 16, PAD = 10;
const MOST_HEIGHT = 520, LEAST_NUMBERED = 28; // the least width of a bar with its score
const STEPS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const SHADES = 16;

class Timeline {
  // root: the element; video: its data; classes: name and color of each; onPick(segment, time).
  constructor(root, video, classes, onPick) {
    Object.assign(this, { root, video, classes, onPick, from: 0, to: video.duration });
    this.shortest = 0.5; // seconds in view at most zoom
    this.lanes = [];
    this.laneOf = new Map();
    this.onView = () => {}; // called with each drawing
    this.selected = this.palettes = null;
    this.time = 0;
    this.inView = false;
    for (const name of ["scroll", "space", "playhead", "hint"])
      this[name] = root.querySelector("." + name);
    this.canvas = root.querySelector("canvas");
    this.name = this.canvas.ariaLabel;
    this.gestures();
    this.scroll.addEventListener("scroll", () => this.redraw());
    new ResizeObserver(() => this.layout()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.palettes = null;
      this.redraw();
    });
    // On a page of many videos, only visible ones have pixels.
    new IntersectionObserver(([entry]) => {
      this.inView = entry.isIntersecting;
      if (this.inView) this.redraw();
      else this.canvas.width = this.canvas.height = 0;
    }, { rootMargin: "200px" }).observe(root);
  }

  // shown: the detections, best first; truth: true segments; both are {label, start, end, score}.
  show(shown, truth) {
    this.lanes = lanesOf(shown, truth);
    this.laneOf = new Map(this.lanes.map((lane) => [lane.label, lane]));
    this.layout();
  }

  select(segment) {
    this.selected = segment;
    const span = this.to - this.from;
    if (segment && (segment.start < this.from || segment.start > this.to - 0.1 * span))
      this.view(segment.start - 0.1 * span, segment.start + 0.9 * span);
    if (this.holds(segment)) {
      const { scroll } = this, [, y, , height] = this.place(segment);
      const top = y + scroll.scrollTop - AXIS - this.top - GAP;
      const room = this.height - AXIS - this.top - height - 2 * GAP;
      scroll.scrollTop = Math.min(Math.max(scroll.scrollTop, top - room), top);
    }
    this.redraw();
  }

  // Whether a segment is among the shown ones.
  holds(segment) {
    return Boolean(segment && this.laneOf.get(segment.label)?.rowOf.has(segment));
  }

  // Moves the playhead; while a video plays, the view follows it.
  setTime(time, follow) {
    this.time = time;
    const span = this.to - this.from;
    if (follow && (time < this.from || time > this.to))
      this.view(time - 0.05 * span, time + 0.95 * span);
    this.placePlayhead();
  }

  zoom(factor, at = (this.from + this.to) / 2) {
    const span = Math.min(Math.max((this.to - this.from) * factor, this.shortest), this.video.duration);
    const share = (at - this.from) / (this.to - this.from);
    this.view(at - share * span, at + (1 - share) * span);
  }

  view(from, to) {
    const span = Math.min(to - from, this.video.duration);
    this.from = Math.min(Math.max(from, 0), this.video.duration - span);
    this.to = this.from + span;
    this.redraw();
  }

  layout() {
    this.width = this.scroll.clientWidth;
    this.narrow = this.width < 600; // names are above the bars instead of beside them
    this.left = this.narrow ? PAD : Math.min(150, 0.16 * this.width);
    this.top = this.narrow ? NAME : 0;
    const leastTrue = this.video.truth ? 1 : 0, rest = this.top + GAP - BETWEEN;
    this.least = rest + leastTrue * (TRUE_BAR + BETWEEN) + BAR + BETWEEN; // height of a lane
    let bottom = 0;
    for (const lane of this.lanes) {
      lane.top = bottom;
      lane.ofTruth = Math.max(lane.trueRows, leastTrue) * (TRUE_BAR + BETWEEN);
      lane.height = rest + lane.ofTruth + Math.max(lane.shownRows, 1) * (BAR + BETWEEN);
      bottom += lane.height;
    }
    const whole = AXIS + Math.max(bottom, this.least);
    this.height = Math.min(whole, MOST_HEIGHT);
    this.space.style.height = whole + "px";
    this.scroll.style.height = this.height + "px";
    this.redraw();
  }

  x(time) {
    const share = (time - this.from) / (this.to - this.from);
    return this.left + share * (this.width - this.left - PAD);
  }

  timeAt(x) {
    return this.from + ((x - this.left) / (this.width - this.left - PAD)) * (this.to - this.from);
  }

  redraw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.placePlayhead();
      this.onView();
      if (this.inView) this.draw();
    });
  }

  placePlayhead() {
    const within = this.time >= this.from && this.time <= this.to;
    this.playhead.hidden = !within;
    if (within) this.playhead.style.transform = `translateX(${this.x(this.time)}px)`;
  }

  colors() {
    const style = getComputedStyle(this.root);
    this.theme = Object.fromEntries(["card", "ink", "muted", "line", "track"].map(
      (name) => [name, style.getPropertyValue("--" + name).trim()]));
    this.font = style.fontFamily;
    this.palettes = this.classes.map(({ color }) => Array.from({ length: SHADES + 1 }, (_, i) =>
      mix(color, this.theme.card, 0.3 + (0.7 * i) / SHADES)));
  }

  draw() {
    if (!this.palettes) this.colors();
    const { canvas, width, height } = this, scale = devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = height + "px";
    canvas.ariaLabel = `${this.name}, from ${clock(this.from)} to ${clock(this.to)}`;
    const pen = (this.pen = canvas.getContext("2d"));
    pen.scale(scale, scale);
    pen.textBaseline = "middle";
    this.drawGrid();
    pen.save();
    pen.beginPath();
    pen.rect(this.left, AXIS, width - this.left - PAD / 2, height - AXIS);
    pen.clip();
    for (const lane of this.lanes.filter((lane) => this.isVisible(lane))) {
      for (const segment of this.uncovered(lane).reverse()) this.drawBar(segment); // best on top
      for (const segment of lane.truth) if (this.inTime(segment)) this.drawBar(segment);
    }
    if (this.holds(this.selected)) this.outline(this.selected);
    pen.restore();
    this.drawNames();
  }

  drawGrid() {
    const { pen, theme, width, height } = this, span = this.to - this.from;
    const most = Math.max((width - this.left) / 80, 2);
    const step = STEPS.find((step) => span / step <= most) || 3600 * Math.ceil(span / most / 3600);
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    pen.font = `11px ${this.font}`;
    pen.textAlign = "center";
    for (let i = Math.ceil(this.from / step - 1e-9); i * step <= this.to + 1e-9; i++) {
      const x = Math.round(this.x(i * step)) + 0.5, text = clock(i * step, digits);
      pen.fillStyle = theme.line;
      pen.fillRect(x, AXIS - 5, 1, height);
      pen.fillStyle = theme.muted;
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(Math.max(x, this.left + half), width - half), AXIS / 2 - 1);
    }
  }

  // Left, top, width and height of a segment's bar.
  place(segment) {
    const { label, start, end, score } = segment, isTrue = score === null;
    const x = Math.round(Math.max(this.x(start), this.left - 4));
    const right = Math.round(Math.min(this.x(Math.min(end, this.video.duration)), this.width + 4));
    const lane = this.laneOf.get(label), row = lane.rowOf.get(segment);
    const above = isTrue ? row * (TRUE_BAR + BETWEEN) : lane.ofTruth + row * (BAR + BETWEEN);
    const y = AXIS + lane.top - this.scroll.scrollTop + this.top + GAP / 2 + above;
    return [x, y, Math.max(right - x, 2), isTrue ? TRUE_BAR : BAR];
  }

  inTime({ start, end }) {
    return end >= this.from && start <= this.to;
  }

  isVisible({ top, height }) {
    const { scrollTop } = this.scroll;
    return top - scrollTop < this.height - AXIS && top + height > scrollTop;
  }

  // A lane's detections in view, best first, without those that better ones in their row hide. So a
  // row draws at most as many bars as it has pixels.
  uncovered(lane) {
    const covered = [];
    return lane.shown.filter((segment) => {
      if (!this.inTime(segment)) return false;
      const [x, , width] = this.place(segment);
      const pixels = (covered[lane.rowOf.get(segment)] ??= new Uint8Array(this.width + 8));
      const free = pixels.indexOf(0, Math.max(x, 0));
      if (free < 0 || free >= x + width) return false;
      pixels.fill(1, Math.max(x, 0), x + width);
      return true;
    });
  }

  drawBar(segment) {
    const { pen } = this, [x, y, width, height] = this.place(segment);
    if (y + height < AXIS || y > this.height) return;
    const { label, score } = segment, strength = score === null ? 1 : Math.min(score, 1);
    const fill = this.palettes[label][Math.round(strength * SHADES)];
    pen.fillStyle = fill;
    if (width < 6) return pen.fillRect(x, y, width, height);
    pen.beginPath();
    pen.roundRect(x + 0.5, y + 0.5, width - 1, height - 1, 4);
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = this.classes[label].color;
    pen.stroke();
    const text = this.textOn(segment);
    if (!text || width < LEAST_NUMBERED) return;
    pen.font = `11px ${this.font}`;
    pen.textAlign = "center";
    pen.fillStyle = inkOn(fill);
    pen.fillText(text, x + width / 2, y + height / 2 + 0.5);
  }

  // What is written on a segment's bar.
  textOn({ score }) {
    return score === null ? "" : score.toFixed(2);
  }

  outline(segment) {
    const { pen } = this, [x, y, width, height] = this.place(segment);
    pen.lineWidth = 2;
    pen.strokeStyle = this.theme.ink;
    pen.beginPath();
    pen.roundRect(x, y, width, height, 4);
    pen.stroke();
  }

  drawNames() {
    const { pen, theme } = this, room = (this.narrow ? this.width : this.left) - 24;
    pen.font = `12.5px ${this.font}`;
    pen.textAlign = "left";
    pen.save();
    pen.beginPath();
    pen.rect(0, AXIS, this.width, this.height - AXIS);
    pen.clip();
    for (const lane of this.lanes.filter((lane) => this.isVisible(lane))) {
      const top = AXIS + lane.top - this.scroll.scrollTop;
      pen.fillStyle = theme.line;
      if (lane.top) pen.fillRect(0, top, this.width, 1);
      const last = Math.max(AXIS + NAME / 2, top + this.least / 2); // in view as long as its lane
      const beside = Math.min(last, top + lane.height - NAME / 2);
      const y = this.narrow ? top + NAME / 2 + 1 : beside;
      const { name, color } = this.classes[lane.label];
      let text = name.slice(0, 200);
      while (text.length > 1 && pen.measureText(text).width > room)
        text = text.slice(0, Math.ceil(0.9 * text.length) - 2) + "…";
      pen.fillStyle = color;
      pen.fillRect(0, y - 5, 10, 10);
      pen.fillStyle = theme.ink;
      pen.fillText(text, 16, y + 0.5);
    }
    pen.restore();
  }
}
