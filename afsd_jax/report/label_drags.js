// Drags on the timeline of labels: the edges of a bar, a bar as a whole (to another lane: its class
// changes), and, with the mouse, a new segment in an empty part of a lane. Times snap to frames.

const REACH = 6, FINGER = 18; // pixels around an edge

Object.assign(LabelTimeline.prototype, {
  // Begins a drag. A finger moves the view, except on the selected bar.
  take({ x, y }, touch) {
    if (x < this.left || y < AXIS) return null;
    const bar = this.segmentAt(x, y), reach = touch ? FINGER : REACH;
    const held = this.edgeAt(x, y, reach) ?? (bar && { bar, edge: "whole" });
    if (touch && (!held || held.bar !== this.selected)) return null;
    if (held) return this.dragOf(held, this.timeAt(x));
    const lane = this.laneAt(y);
    return lane ? this.newBar(lane.label, this.timeAt(x)) : null;
  },

  laneAt(y) {
    const down = y - AXIS + this.scroll.scrollTop;
    return this.lanes.find(({ top, height }) => down >= top && down < top + height);
  },

  // The bar and edge at a point, of the selected bar first; else null.
  edgeAt(x, y, reach) {
    for (const bar of new Set([this.selected, this.segmentAt(x, y)])) {
      if (!bar || !this.holds(bar)) continue;
      const [left, top, width, height] = this.place(bar), right = left + width;
      if (y < top - 4 || y > top + height + 4) continue;
      const inner = Math.min(reach, width / 3); // the middle of a short bar moves it
      if (x >= left - reach && x <= left + inner) return { bar, edge: "start" };
      if (x <= right + reach && x >= right - inner) return { bar, edge: "end" };
    }
    return null;
  },

  dragOf({ bar, edge }, from) {
    const { item } = bar, row = this.laneOf.get(bar.label).rowOf.get(bar);
    const at = ({ x, y }) => {
      const time = this.timeAt(x);
      if (edge === "start") return { label: bar.label, span: this.frames.span(time, item.end) };
      if (edge === "end") return { label: bar.label, span: this.frames.span(item.start, time) };
      const lane = this.laneAt(y) ?? { label: bar.label };
      return { label: lane.label, span: this.frames.moved(item, item.start + time - from) };
    };
    return this.drag({ item, row, label: bar.label }, at, edge === "end" ? 1 : 0, ({ label, span: [start, end] }) => {
      const fields = { label: this.classes[label].name, start, end };
      if (["label", "start", "end"].some((name) => fields[name] !== item[name]))
        this.app.change(item, fields);
    });
  },

  newBar(label, from) {
    const at = ({ x }) => ({ label, span: this.frames.span(from, this.timeAt(x)) });
    return this.drag({ item: { id: null }, row: 0, label }, at, 1, ({ span }) => this.app.add(label, ...span));
  },

  // A drag that shows, and at its end does, what `at` makes of a place; the video follows one edge.
  drag(old, at, follows, done) {
    const finish = () => {
      this.preview = null;
      this.redraw();
    };
    return {
      move: (place) => {
        const { label, span } = at(place), [start, end] = span;
        const row = label === old.label ? old.row : 0;
        this.preview = { item: old.item, label, start, end, row };
        this.hintAt(place, `${clock(start, 3)} to ${clock(end, 3)}, ${(end - start).toFixed(3)} s`);
        this.app.drag(span[follows]);
        this.redraw();
      },
      drop: (place) => {
        this.hint.hidden = true;
        finish();
        done(at(place));
      },
      cancel: finish,
    };
  },

  hintAt({ x, y }, text) {
    this.hint.hidden = false;
    this.hint.textContent = text;
    this.hint.style.left = Math.min(x + 12, this.width - this.hint.offsetWidth) + "px";
    this.hint.style.top = y + 16 + "px";
  },

  // Describes what is under the pointer.
  point(place) {
    const { x, y } = place, bar = this.segmentAt(x, y), onLane = x >= this.left && y >= AXIS;
    const edge = this.edgeAt(x, y, REACH);
    this.canvas.style.cursor = edge ? "ew-resize" : bar ? "pointer" : onLane ? "crosshair" : "grab";
    this.hint.hidden = !bar;
    if (bar) this.hintAt(place, describeItem(bar.item));
  },
});

function describeItem({ label, start, end, score, note }) {
  const kind = score === undefined ? note && `, ${note}` : `, suggested with score ${score.toFixed(2)}`;
  return `${label}, ${clock(start, 2)} to ${clock(end, 2)}${kind}`;
}
