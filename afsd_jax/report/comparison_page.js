// The page of a comparison: differences by class with their intervals, and the actions that only
// one of two systems finds. comparison_page.py writes `data`.

class ComparisonPage {
  constructor(data) {
    Object.assign(this, data, { at: data.chosen, pair: data.pairs[0] });
    const many = this.systems.length;
    // A lane for each class and system; true actions are in the lanes of all systems.
    const lanes = this.classes.flatMap(({ name, color }) =>
      this.systems.map((system) => ({ name: `${name} · ${system}`, color })));
    const inLane = (segment, system) => ({ ...segment, label: many * segment.label + system });
    this.many = many;
    this.truth = segmentsOf(data.actions);
    this.inVideo = this.videos.map(() => ({ truth: [], shown: [] }));
    this.truthOf = this.systems.map((_, system) =>
      this.truth.map((action) => inLane(action, system)));
    this.systems.forEach((_, system) => {
      for (const action of this.truthOf[system]) this.inVideo[action.video].truth.push(action);
      for (const found of segmentsOf(data.detections[system]))
        this.inVideo[found.video].shown.push(inLane(found, system));
    });
    this.cases = new Cases(document.querySelector("dialog"), this.videos, lanes, (segment) =>
      this.around(segment));
    for (const input of document.querySelectorAll("[name=tiou]"))
      input.addEventListener("change", () => this.show(Number(input.value), this.pair));
    document.getElementById("pair")?.addEventListener("change", ({ target }) =>
      this.show(this.at, this.pairs[target.value]));
    this.show(this.at, this.pair);
  }

  // What the timeline shows of a case's video: its class, and other detections near it.
  around({ video, label, start, end }) {
    const classOf = (lane) => Math.floor(lane / this.many);
    const ofClass = (other) => classOf(other.label) === classOf(label);
    const near = (other) => other.start < end && other.end > start;
    const { truth, shown } = this.inVideo[video];
    const kept = shown.filter((other) => ofClass(other) || near(other));
    return { truth: truth.filter(ofClass), shown: kept };
  }

  show(at, pair) {
    Object.assign(this, { at, pair });
    const [first, second] = pair.names;
    document.getElementById("verdict").textContent = pair.verdict;
    for (const element of document.querySelectorAll(".of"))
      element.textContent = `${first} less ${second}, tIoU ${this.tious[at]}`;
    this.showDifferences();
    this.showFound(first, second);
  }

  // A bar from 0 to each difference, with its interval as a line.
  showDifferences() {
    const { value, low, high } = this.pair.ap[this.at]; // no ends if there is only one video
    const most = Math.max(...[value, low ?? [], high ?? []].flat().map(Math.abs), 0.01);
    const place = (share) => `${50 + (50 * share) / most}%`;
    const order = this.classes.map((_, label) => label).sort((a, b) => value[b] - value[a]);
    document.getElementById("differences").replaceChildren(...order.map((label) => {
      const [from, to] = [Math.min(value[label], 0), Math.max(value[label], 0)];
      const { name, color } = this.classes[label];
      const points = (share) => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)}`;
      const interval = low ? `${points(low[label])} to ${points(high[label])}` : "";
      const clear = !low || (low[label] > 0 || high[label] < 0) ? " clear" : "";
      const part = (className, start, end) => {
        const width = `${(50 * (end - start)) / most}%`;
        return el("span", { className, style: { left: place(start), width } });
      };
      const whisker = low ? [part("whisker", low[label], high[label])] : [];
      const title = `${points(value[label])} points of AP` +
        (low ? `, 95 % interval ${interval}` : "");
      return el("div", { className: `bar-row${clear}`, style: { "--color": color }, title },
        el("span", { className: "bar-name" }, name),
        el("span", { className: "bar-track signed" },
          part("bar-fill", from, to), ...whisker),
        el("span", { className: "bar-text" }, points(value[label]), el("small", {}, interval)));
    }));
  }

  showFound(first, second) {
    const { both, neither, onlyFirst, onlySecond } = this.pair, total = this.truth.length;
    const row = (name, number, color, rows) => barRow({ name, color, share: number / total,
      text: grouped(number), open: rows?.length ? () => this.open(name, rows) : null });
    document.getElementById("found").replaceChildren(
      row("found by both", both[this.at], "#4d8f3a"),
      row(`found by ${first} only`, onlyFirst[this.at].length, "var(--accent)", onlyFirst[this.at]),
      row(`found by ${second} only`, onlySecond[this.at].length, "#d9722e", onlySecond[this.at]),
      row("found by neither", neither[this.at], "#8a6250"));
  }

  open(title, rows) {
    const system = this.systems.indexOf(this.pair.names[0]);
    const text = `${title[0].toUpperCase()}${title.slice(1)}.`;
    const cases = rows.map((row) => ({ text, segment: this.truthOf[system][row] }));
    const count = grouped(cases.length);
    this.cases.open(`${title}: ${count}`, cases, "No action is behind this bar.");
  }
}

new ComparisonPage(JSON.parse(document.getElementById("data").textContent));
