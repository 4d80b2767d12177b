// The page of an evaluation: every figure at the chosen tIoU and for the chosen class, and behind
// every bar its cases. evaluation_page.py writes `data`. Numbers of detections are counted in one
// pass over typed arrays, and lists are made when they are opened.

const HIT = 0, WRONG_LABEL = 2; // kinds of detections; all but HIT are errors
const FOUND = 0, MISLABELLED = 1, MISSED = 3; // what became of an action
const ROWS_OF_PAIRS = 12, MATRIX = 25; // classes in the confusion matrix
const SHOWN = 300; // detections in the timeline of a case

function bestInWords({ f1, threshold, precision, recall }, interval) {
  const text = `Best F1 ${percent(f1, 1)} at a score of ${threshold.toFixed(3)} or more: ` +
    `precision ${percent(precision)}, recall ${percent(recall)}.`;
  if (!interval) return text;
  const [low, high] = interval.map((end) => end.toFixed(3));
  return `${text} 95 % interval of this threshold: ${low} to ${high}.`;
}

const digits = (text) => new TextEncoder().encode(text).map((code) => code - 48);

class EvaluationPage {
  constructor(data) {
    Object.assign(this, data, { at: data.chosen, label: null });
    this.truth = segmentsOf(data.actions);
    this.found = segmentsOf(data.detections); // the best 10·N of each class, best first
    this.inVideo = { truth: this.videos.map(() => []), found: this.videos.map(() => []) };
    for (const segment of this.truth) this.inVideo.truth[segment.video].push(segment);
    for (const segment of this.found) this.inVideo.found[segment.video].push(segment);
    this.kinds = data.kinds.map(digits);
    this.reasons = data.reasons.map(digits);
    this.ranks = Uint8Array.from(data.ranks);
    this.labels = Uint32Array.from(data.detections.labels);
    this.numActions = this.classes.map(() => 0);
    for (const { label } of this.truth) this.numActions[label]++;
    this.names = new Intl.Collator("en", { numeric: true });
    this.cases = new Cases(document.querySelector("dialog"), this.videos, this.classes,
      (segment) => this.around(segment));
    for (const input of document.querySelectorAll("[name=tiou]"))
      input.addEventListener("change", () => this.show(Number(input.value), this.label));
    document.getElementById("class").addEventListener("change", ({ target }) =>
      this.show(this.at, target.value === "" ? null : Number(target.value)));
    for (const header of document.querySelectorAll("#classes th"))
      header.querySelector("button").addEventListener("click", () => this.sort(header));
    this.order = { column: 1, descending: false };
    this.showCalibration();
    this.show(this.at, null);
  }

  get tiou() {
    return this.tious[this.at];
  }

  kind(row) {
    return this.kinds[this.at][row];
  }

  isFound(row) {
    return this.reasons[this.at][row] === FOUND;
  }

  included({ label }) {
    return this.label === null || label === this.label;
  }

  show(at, label) {
    const sameTiou = this.rows && at === this.at;
    Object.assign(this, { at, label });
    const of = label === null ? "all classes" : this.classes[label].name;
    for (const element of document.querySelectorAll(".of"))
      element.textContent = `${of}, tIoU ${this.tiou}`;
    this.showErrors();
    this.showGains();
    this.showGroups();
    this.showPairs();
    this.showCurves();
    if (sameTiou) this.markClass();
    else this.showClasses();
  }

  put(id, ...children) {
    document.getElementById(id).replaceChildren(...children);
  }

  // Errors by rank, as in DETAD's figure: the k-th column holds the k-th N best of each class.
  showErrors() {
    const groups = Array.from({ length: 10 }, () => this.errors.map(() => 0));
    const { labels, ranks, label } = this, kinds = this.kinds[this.at];
    for (let row = 0; row < labels.length; row++)
      if (label === null || labels[row] === label) groups[ranks[row]][kinds[row]]++;
    const columns = groups.map((counts, i) => {
      const total = counts.reduce((a, b) => a + b, 0);
      const parts = counts.map((number, kind) => ({
        share: total && number / total,
        color: this.errors[kind].color,
        hint: `${this.errors[kind].name}: ${count(number, "detection")} ` +
          `(${percent(number / total)})`,
        open: () => this.openErrors(kind, i),
      }));
      return { name: `${i + 1}N`, parts };
    });
    const totals = this.errors.map((_, kind) =>
      groups.reduce((sum, counts) => sum + counts[kind], 0));
    this.put("errors", stackedColumns(columns));
    this.put("error-keys", ...this.errors.map(({ name, color, hint }, kind) =>
      el("button", { type: "button", title: hint, style: { "--color": color },
        onclick: () => this.openErrors(kind, null) },
        el("i"), `${name} `, el("b", {}, grouped(totals[kind])))));
  }

  openErrors(kind, rank) {
    const rows = this.found.filter((segment) => this.included(segment) &&
      this.kind(segment.row) === kind && (rank === null || this.ranks[segment.row] === rank));
    const of = rank === null ? "" : rank === 0 ? ", the best N" : `, rank ${rank}N to ${rank + 1}N`;
    this.openDetections(`${this.errors[kind].title}${of}`, rows);
  }

  showGains() {
    const gains = this.gains[this.at], most = Math.max(...gains, 0.01);
    this.put("gains", ...gains.map((gain, i) => {
      const { name, color, hint } = this.gained[i], kind = i + 1;
      const missed = kind >= this.errors.length;
      return barRow({ name, color, hint, share: gain / most, text: `+${(100 * gain).toFixed(1)}`,
        open: () => (missed ? this.openMissed() : this.openErrors(kind, null)) });
    }));
  }

  openMissed() {
    const rows = this.truth.filter((action) =>
      this.included(action) && this.reasons[this.at][action.row] === MISSED);
    this.openActions("Actions that no detection comes near", rows);
  }

  // The share of actions that are not found, by length and so on.
  showGroups() {
    this.put("groups", ...this.groups.map(({ name, bins }) => {
      const columns = bins.map(({ name: bin, rows }) => {
        const actions = rows.map((row) => this.truth[row]).filter((item) => this.included(item));
        const lost = actions.filter(({ row }) => !this.isFound(row));
        const share = actions.length ? lost.length / actions.length : 0;
        const hint = `${bin}: ${lost.length} of ${count(actions.length, "action")} not found`;
        const open = () => this.openActions(`Not found: ${name.toLowerCase()} ${bin}`, lost);
        return { name: bin, text: actions.length ? percent(share) : "–",
          parts: [{ share, color: "var(--bad)", hint, open }] };
      });
      return el("div", { className: "group" }, el("h3", {}, name), stackedColumns(columns));
    }));
  }

  // The actions that are not found because a detection of another class is in their place.
  pairs() {
    const pairs = new Map();
    for (const action of this.truth) {
      if (this.reasons[this.at][action.row] !== MISLABELLED) continue;
      const truth = action.label, as = this.takenFor[this.at][action.row];
      if (as < 0 || (this.label !== null && truth !== this.label && as !== this.label)) continue;
      const key = `${truth} ${as}`;
      if (!pairs.has(key)) pairs.set(key, { truth, as, actions: [] });
      pairs.get(key).actions.push(action);
    }
    return [...pairs.values()].sort((a, b) => b.actions.length - a.actions.length);
  }

  showPairs() {
    const pairs = this.pairs(), name = (label) => this.classes[label].name;
    const open = ({ truth, as, actions }) => () =>
      this.openActions(`${name(truth)} taken for ${name(as)}`, actions);
    const share = ({ truth, actions }) => actions.length / this.numActions[truth];
    const most = Math.max(...pairs.map(share));
    this.put("pairs", ...pairs.slice(0, ROWS_OF_PAIRS).map((pair) => {
      const { truth, as, actions } = pair, total = this.numActions[truth];
      return barRow({ name: `${name(truth)} → ${name(as)}`, share: share(pair) / most,
        color: this.classes[as].color, text: `${actions.length} of ${total}`, open: open(pair),
        hint: `${actions.length} of ${total} of ${name(truth)} are taken for ${name(as)}` });
    }));
    const none = document.getElementById("no-pairs");
    none.hidden = pairs.length > 0;
    none.textContent = this.noPairsInWords();
    const many = this.classes.length > MATRIX;
    document.getElementById("matrix-section").hidden = many || !pairs.length;
    if (many) return;
    const cells = new Map(pairs.map((pair) => [`${pair.truth} ${pair.as}`, pair]));
    const labels = this.classes.map((_, i) => i);
    const cell = (truth, as) => {
      const pair = cells.get(`${truth} ${as}`);
      if (!pair) return el("td", { className: truth === as ? "same" : "" });
      const number = link(`${pair.actions.length}`, "show these actions", open(pair));
      return el("td", { style: { "--share": share(pair) } }, number);
    };
    const matrix = el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, "true \\ detected"),
      ...labels.map((as) => el("th", {}, el("span", {}, name(as)))))),
      el("tbody", {}, ...labels.map((truth) =>
        el("tr", {}, el("th", {}, name(truth)), ...labels.map((as) => cell(truth, as))))));
    this.put("matrix", matrix);
  }

  // Wrong labels may also lie on actions that another detection finds: these are not taken for others.
  noPairsInWords() {
    const extra = this.found.filter((segment) =>
      this.included(segment) && this.kind(segment.row) === WRONG_LABEL &&
      this.isFound(this.targets[segment.row])).length;
    return "No action is lost to another class." + (extra ? ` ${count(extra, "wrong label")} ` +
      `${extra === 1 ? "lies on an action that is" : "lie on actions that are"} found all the same.`
      : "");
  }

  showCurves() {
    const label = this.label, shown = this.curves[label ?? this.classes.length];
    const { curve, best, confidence } = shown;
    const color = label === null ? "var(--accent)" : this.classes[label].color;
    const lines = [{ name: "precision by recall", points: curve, color }];
    const point = best && [[best.recall, best.precision]];
    if (best) lines.push({ name: "best F1", points: point, color: "var(--ink)", dots: true });
    const x = `recall at tIoU ${this.operatingTiou}`;
    this.put("curve", curves(lines, { x, y: "precision", written: (value) => percent(value) }));
    document.getElementById("operating").textContent = best
      ? bestInWords(best, confidence) : "No detection is right.";
    const mean = this.ap.map((values) => values.reduce((a, b) => a + b, 0) / values.length);
    const points = (values) => this.tious.map((tiou, i) => [tiou, values[i]]);
    const byTiou = [
      { name: "mAP of all classes", points: points(mean), color: "var(--accent)", dots: true }];
    if (label !== null) {
      const own = points(this.ap.map((values) => values[label]));
      byTiou.push({ name: this.classes[label].name, points: own, color, dots: true });
    }
    const [left, right] = [this.tious[0], this.tious.at(-1)];
    const marks = this.tious.length <= 10 ? this.tious : [left, right];
    this.put("by-tiou", curves(byTiou, { x: "tIoU", y: "average precision", left, right, marks }));
  }

  showCalibration() {
    const [scores, precisions, counts] = this.calibration;
    const points = scores.map((score, i) => [score, precisions[i]]).filter((_, i) => counts[i]);
    const ends = [[0, 0], [1, 1]];
    const lines = [{ name: "a probability", points: ends, color: "var(--muted)", dashed: true },
      { name: "share that is right", points, color: "var(--accent)", dots: true }];
    this.put("calibration", curves(lines, { x: "score", y: "share that is right" }));
  }

  // Class, AP, actions, not found, false among the best N, threshold, F1.
  classRows() {
    const { labels, ranks } = this, kinds = this.kinds[this.at];
    const lost = this.classes.map(() => 0), wrong = this.classes.map(() => 0);
    for (const action of this.truth) if (!this.isFound(action.row)) lost[action.label]++;
    for (let row = 0; row < labels.length; row++)
      if (ranks[row] === 0 && kinds[row] !== HIT) wrong[labels[row]]++;
    return this.classes.map(({ name, color }, label) => {
      const best = this.curves[label].best;
      const values = [name, this.ap[this.at][label], this.numActions[label], lost[label],
        wrong[label], best?.threshold ?? -1, best?.f1 ?? -1];
      return { label, name, color, values };
    });
  }

  // Rows are made once; then only their numbers and their order change.
  showClasses() {
    const { column, descending } = this.order, sign = descending ? -1 : 1;
    const order = (a, b) =>
      column ? a.values[column] - b.values[column] : this.names.compare(a.name, b.name);
    const rows = this.classRows().sort((a, b) => sign * order(a, b));
    this.rows ??= this.classes.map((_, label) => this.classRow(label));
    const known = (value, text) => (value < 0 ? "–" : text(value));
    for (const { label, values: [, ap, actions, lost, wrong, threshold, f1] } of rows) {
      const { row, numbers } = this.rows[label], points = (100 * ap).toFixed(1);
      row.style.setProperty("--share", `${points}%`);
      const texts = [points, ...[actions, lost, wrong].map(grouped),
        known(threshold, (value) => value.toFixed(2)), known(f1, (value) => percent(value))];
      texts.forEach((text, i) => {
        if (numbers[i].textContent !== text) numbers[i].textContent = text;
      });
    }
    this.put("class-rows", ...rows.map(({ label }) => this.rows[label].row));
    this.markClass();
    document.querySelectorAll("#classes th").forEach((header, i) =>
      (header.ariaSort = i !== column ? "none" : descending ? "descending" : "ascending"));
  }

  markClass() {
    this.rows.forEach(({ row }, label) => (row.ariaSelected = label === this.label));
  }

  // The row of a class, and the elements of its numbers.
  classRow(label) {
    const { name, color } = this.classes[label];
    const named = el("span", {}, el("span", { className: "dot" }), name);
    const choose = () => {
      const next = label === this.label ? null : label;
      document.getElementById("class").value = next ?? "";
      this.show(this.at, next);
    };
    const openLost = () => this.openActions(`${name}: actions that are not found`,
      this.truth.filter((action) => action.label === label && !this.isFound(action.row)));
    const openWrong = () => this.openDetections(`${name}: false detections, the best N`,
      this.found.filter(({ label: other, row }) =>
        other === label && this.ranks[row] === 0 && this.kind(row) !== HIT));
    const numbers = [el("b"), el("td"), link("", "show the actions that are not found", openLost),
      link("", "show the false detections", openWrong), el("td"), el("td")];
    const [ap, actions, lost, wrong, threshold, f1] = numbers;
    const meter = el("div", {}, el("span", { className: "meter" }), ap);
    const row = el("tr", { style: { "--color": color } },
      el("td", {}, link(named, "show this class only", choose)),
      el("td", { className: "score" }, meter), actions,
      el("td", {}, lost), el("td", {}, wrong), threshold, f1);
    document.querySelectorAll("#classes th").forEach((header, i) =>
      (row.cells[i].dataset.name = header.textContent.trim()));  // beside it on phones
    return { row, numbers };
  }

  sort(header) {
    const column = header.cellIndex;
    const again = this.order.column === column;
    this.order = { column, descending: again ? !this.order.descending : column > 1 };
    this.showClasses();
  }

  openActions(title, actions) {
    this.open(title, actions.map((action) => this.actionCase(action)));
  }

  openDetections(title, detections) {
    this.open(title, detections.map((detection) => this.detectionCase(detection)));
  }

  open(title, cases) {
    this.cases.open(`${title}: ${grouped(cases.length)}`, cases,
      "Nothing is behind this bar at the chosen tIoU and class.");
  }

  actionCase(segment) {
    const reason = this.reasons[this.at][segment.row];
    const taken = this.takenFor[this.at][segment.row];
    const as = taken >= 0 ? ` It is taken for ${this.classes[taken].name}.` : "";
    return { segment, text: this.lost[reason] + as };
  }

  detectionCase(segment) {
    const target = this.truth[this.targets[segment.row]];
    const { name, sentence } = this.errors[this.kind(segment.row)];
    const text = `${name[0].toUpperCase()}${name.slice(1)}: ${sentence}`;
    if (!target) return { segment, text };
    const times = `${clock(target.start)} to ${clock(target.end)}`;
    const near = `The true ${this.classes[target.label].name} from ${times} overlaps with it by ` +
      `${this.overlap(segment, target).toFixed(2)}.`;
    const found = this.isFound(target.row) ? "That action is found all the same, by a detection " +
      "of its own class; this is one more detection on top of it." : "That action is not found.";
    const more = this.kind(segment.row) === WRONG_LABEL ? ` ${found}` : "";
    return { segment, text: `${text} ${near}${more}` };
  }

  overlap(a, b) {
    const shared = Math.max(Math.min(a.end, b.end) - Math.max(a.start, b.start), 0);
    return shared / (a.end - a.start + b.end - b.start - shared);
  }

  // What the timeline shows of a case's video: all true actions; of the detections that reach their
  // class's threshold of best F1, those of a true class, and others near the case.
  around(segment) {
    const truth = this.inVideo.truth[segment.video];
    const labels = new Set(truth.map(({ label }) => label));
    labels.add(segment.label);
    const near = ({ start, end }) => start < segment.end && end > segment.start;
    const shown = this.inVideo.found[segment.video].filter((other) => other !== segment &&
      other.score >= (this.curves[other.label].best?.threshold ?? 0) &&
      (labels.has(other.label) || near(other))).slice(0, SHOWN);
    return { shown: segment.score === null ? shown : [segment, ...shown], truth };
  }
}

new EvaluationPage(JSON.parse(document.getElementById("data").textContent));
