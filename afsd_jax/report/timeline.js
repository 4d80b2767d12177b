// A video's timeline on a canvas: a lane for each class, with true segments as thin bars above the
// detected ones. Only the visible part is drawn. Times are seconds.

const AXIS = 26, BAR = 20, TRUE_BAR = 8, GAP = 6, NAME = 16, PAD = 10, MOST_HEIGHT = 380;
const STEPS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const SHADES = 16;

class Timeline {
  // root: the element; video: its data; classes: name and color of each; onPick(segment, time).
  constructor(root, video, classes, onPick) {
    Object.assign(this, { root, video, classes, onPick, from: 0, to: video.duration });
    this.shown = this.truth = [];
    this.lanes = [];
    this.laneOf = new Map();
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
    const labels = new Set();
    for (const segments of [shown, truth]) for (const { label } of segments) labels.add(label);
    this.lanes = [...labels].sort((a, b) => a - b);
    this.laneOf = new Map(this.lanes.map((label, lane) => [label, lane]));
    Object.assign(this, { shown, truth });
    this.layout();
  }

  select(segment) {
    this.selected = segment;
    const span = this.to - this.from;
    if (segment && (segment.start < this.from || segment.start > this.to - 0.1 * span))
      this.view(segment.start - 0.1 * span, segment.start + 0.9 * span);
    const lane = segment ? this.laneOf.get(segment.label) : undefined;
    if (lane !== undefined) {
      const top = lane * this.laneHeight, room = this.scroll.clientHeight - AXIS - this.laneHeight;
      this.scroll.scrollTop = Math.min(Math.max(this.scroll.scrollTop, top - room), top);
    }
    this.redraw();
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
    const span = Math.min(Math.max((this.to - this.from) * factor, 0.5), this.video.duration);
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
    this.laneHeight = this.top + (this.video.truth ? TRUE_BAR + 2 : 0) + BAR + GAP;
    const whole = AXIS + Math.max(this.lanes.length, 1) * this.laneHeight;
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
    for (const segment of this.uncovered().reverse()) this.drawBar(segment); // the best on top
    for (const segment of this.truth) if (this.inTime(segment)) this.drawBar(segment);
    if (this.selected && this.laneOf.has(this.selected.label)) this.outline(this.selected);
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

  place({ label, start, end, score }) {
    const x = Math.round(Math.max(this.x(start), this.left - 4));
    const right = Math.round(Math.min(this.x(Math.min(end, this.video.duration)), this.width + 4));
    const top = AXIS + this.laneOf.get(label) * this.laneHeight + this.top - this.scroll.scrollTop;
    const y = top + GAP / 2 + (this.video.truth && score !== null ? TRUE_BAR + 2 : 0);
    return [x, y, Math.max(right - x, 2), score === null ? TRUE_BAR : BAR];
  }

  inTime({ start, end }) {
    return end >= this.from && start <= this.to;
  }

  // The visible detections, best first, without those that better ones in their lane hide. So a
  // lane draws at most as many bars as it has pixels.
  uncovered() {
    const covered = new Map(this.lanes.map((label) => [label, new Uint8Array(this.width + 8)]));
    return this.shown.filter((segment) => {
      if (!this.inTime(segment)) return false;
      const [x, , width] = this.place(segment), pixels = covered.get(segment.label);
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
    if (score === null || width < 36) return;
    pen.font = `11px ${this.font}`;
    pen.textAlign = "center";
    pen.fillStyle = inkOn(fill);
    pen.fillText(score.toFixed(2), x + width / 2, y + height / 2 + 0.5);
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
    this.lanes.forEach((label, lane) => {
      const top = AXIS + lane * this.laneHeight - this.scroll.scrollTop;
      if (top > this.height || top + this.laneHeight < AXIS) return;
      const y = top + (this.narrow ? NAME / 2 + 1 : this.laneHeight / 2);
      const { name, color } = this.classes[label];
      let text = name.slice(0, 200);
      while (text.length > 1 && pen.measureText(text).width > room)
        text = text.slice(0, Math.ceil(0.9 * text.length) - 2) + "…";
      pen.fillStyle = color;
      pen.fillRect(0, y - 5, 10, 10);
      pen.fillStyle = theme.ink;
      pen.fillText(text, 16, y + 0.5);
    });
    pen.restore();
  }
}
