// The lanes of a timeline: one for each class, with its segments in rows. Within a row no two
// segments overlap, so no bar hides another's score.

const MOST_ROWS = 100; // in a lane; nobody can read more, and weaker segments share the last row

class Lane {
  // shown: the detections, best first; truth: true segments.
  constructor(label) {
    Object.assign(this, { label, shown: [], truth: [], rowOf: new Map() });
  }

  stack() {
    this.trueRows = this.inRows(this.truth);
    this.shownRows = this.inRows(this.shown);
    return this;
  }

  // Gives each segment, in their order, the first row with room; returns the number of rows.
  inRows(segments) {
    const rows = [];
    for (const segment of segments) {
      let row = rows.findIndex((taken) => insert(taken, segment));
      if (row < 0) {
        row = Math.min(rows.length, MOST_ROWS - 1);
        rows[row] ??= [segment];
      }
      this.rowOf.set(segment, row);
    }
    return rows.length;
  }
}

// Inserts a segment into a row, which is in order of time, unless it overlaps with another.
function insert(taken, segment) {
  let low = 0, high = taken.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (taken[middle].start < segment.end) low = middle + 1;
    else high = middle;
  }
  if (low && taken[low - 1].end > segment.start) return false;
  taken.splice(low, 0, segment);
  return true;
}

// The lanes of the classes that occur, in the order of the classes.
function lanesOf(shown, truth) {
  const lanes = new Map();
  for (const [kind, segments] of Object.entries({ shown, truth }))
    for (const segment of segments) {
      const { label } = segment;
      if (!lanes.has(label)) lanes.set(label, new Lane(label));
      lanes.get(label)[kind].push(segment);
    }
  return [...lanes.values()].sort((a, b) => a.label - b.label).map((lane) => lane.stack());
}
