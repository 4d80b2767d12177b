// Learning: its button, its progress, and what each round brought.

const LEARNING = {
  preparing: "preparing", features: "computing features", learning: "learning",
  detecting: "looking for actions",
};
const LINES = [["map", "mAP", "#3b6fb6"], ["f1", "F1", "#d9722e"]];

class LearnPanel {
  // root: of the panel; line: the short form at the top of the page.
  constructor(root, line) {
    Object.assign(this, { root, line, state: "idle" });
    this.buttons = [part("[data-do=learn]", root), part("[data-do=learn]", line)];
  }

  get busy() {
    return this.state in LEARNING;
  }

  show({ state, progress, message, eta_s, report, rounds }) {
    this.state = state;
    const time = eta_s < 90 ? `${Math.ceil(eta_s)} s` : `${Math.round(eta_s / 60)} min`;
    const left = eta_s > 0 ? `, ${time} left` : "";
    const share = this.busy && progress > 0 ? ` ${Math.round(100 * progress)} %` : "";
    const word = LEARNING[state] ?? { idle: "", done: "done", stopped: "stopped", failed: "failed" }[state];
    const text = word + share + left;
    for (const button of this.buttons) {
      button.textContent = this.busy ? "Stop" : state === "stopped" ? "Go on" : "Learn";
      button.classList.toggle("main", !this.busy);
    }
    for (const bar of [part("progress", this.root), part("progress", this.line)]) {
      bar.hidden = !this.busy;
      bar.value = progress ?? 0;
    }
    part("a", this.line).textContent = state === "idle" ? "" : text;
    const status = part("[role=status]", this.root);
    status.textContent = [text, message].filter(Boolean).join(" · ");
    status.classList.toggle("trouble", state === "failed");
    const link = part(".report", this.root);
    link.hidden = !report?.startsWith("/report/");
    if (!link.hidden) link.href = report;
    this.showRounds(rounds ?? []);
  }

  showRounds(rounds) {
    part(".rounds", this.root).hidden = !rounds.length;
    const known = (value, show) => (value === null || value === undefined ? "–" : show(value));
    const percent = (share) => known(share, (value) => (100 * value).toFixed(1));
    part("tbody", this.root).replaceChildren(...rounds.map((round) => make("tr", {}, ...[
      String(round.round), grouped(round.videos), grouped(round.segments),
      percent(round.map), percent(round.f1), percent(round.accepted_unchanged),
      known(round.corrections, grouped), known(round.minutes, (value) => value.toFixed(1)),
    ].map((text) => make("td", { textContent: text })))));
    part(".curve", this.root).replaceChildren(...(rounds.length ? [curveOf(rounds), keysOf()] : []));
  }
}

// mAP and F1, shares from 0 to 1, over the rounds.
function curveOf(rounds) {
  const [left, right, top, bottom] = [58, 500, 12, 168];
  const step = (right - left - 40) / Math.max(rounds.length - 1, 1);
  const x = (i) => (rounds.length < 2 ? (left + right) / 2 : left + 20 + step * i);
  const y = (share) => bottom - (bottom - top) * Math.min(Math.max(share, 0), 1);
  const name = "mAP and F1 of each round";
  const svg = makeSvg("svg", { viewBox: "0 0 520 200", role: "img", "aria-label": name });
  const label = (text, at) => {
    const element = makeSvg("text", at);
    element.textContent = text;
    return element;
  };
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(makeSvg("line", { x1: left, x2: right, y1: y(share), y2: y(share) }));
    svg.append(label(`${100 * share} %`, { x: left - 6, y: y(share) + 4, "text-anchor": "end" }));
  }
  rounds.forEach(({ round }, i) => svg.append(label(round, { x: x(i), y: 190, "text-anchor": "middle" })));
  for (const [field, , color] of LINES) {
    const points = rounds.map((round, i) => [round[field], x(i)]).filter(([value]) => Number.isFinite(value));
    const path = points.map(([value, at]) => `${at},${y(value)}`).join(" ");
    svg.append(makeSvg("polyline", { points: path, stroke: color }));
    for (const [value, at] of points)
      svg.append(makeSvg("circle", { cx: at, cy: y(value), r: 3.5, fill: color }));
  }
  return svg;
}

function keysOf() {
  return make("figcaption", { className: "muted" }, ...LINES.map(([, name, color]) =>
    make("span", {}, make("span", { className: "dot", style: { "--color": color } }), name)));
}
