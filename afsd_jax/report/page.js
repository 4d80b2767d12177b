// A page of detections: for each video a player, a timeline and a table; for all videos a minimum
// score and a selection of classes. Only videos near the window are made and changed, so a page of
// many is as fast as one of few. page.py writes `data`.

const ROWS = 10; // per page of a table

class VideoView {
  constructor(article, video, classes) {
    Object.assign(this, { article, video, classes, shown: [], first: 0, order: "score" });
    const find = (this.find = (selector) => article.querySelector(selector));
    this.player = new Player(find("video"), (time, follow) => this.at(time, follow), () => {
      article.classList.remove("with-video");
      find(".missing").hidden = false;
    });
    this.timeline = new Timeline(find(".timeline"), video, classes, (segment, time) => {
      if (segment) this.pick(segment, true);
      else this.player.seek(time);
    });
    const strip = find(".frames"), filmstrip = strip && new Filmstrip(strip);
    if (strip) this.timeline.onView = () => filmstrip.place(this.timeline);
    const actions = {
      previous: () => this.step(-1),
      next: () => this.step(1),
      in: () => this.timeline.zoom(0.5, this.middle),
      out: () => this.timeline.zoom(2, this.middle),
      fit: () => this.timeline.view(0, video.duration),
      back: () => this.turn(this.first - ROWS),
      forth: () => this.turn(this.first + ROWS),
      start: () => this.sort("start"),
      score: () => this.sort("score"),
    };
    for (const button of article.querySelectorAll("[data-do]"))
      button.addEventListener("click", actions[button.dataset.do]);
    find("tbody").addEventListener("click", ({ target }) => {
      const row = target.closest("tr");
      if (row) this.pick(this.listed[this.first + row.sectionRowIndex], true);
    });
  }

  // Centre of zooming: the playhead if it is in view.
  get middle() {
    const { from, to } = this.timeline, { time } = this.player;
    return time > from && time < to ? time : (from + to) / 2;
  }

  at(time, follow) {
    this.timeline.setTime(time, follow);
    this.find(".time").textContent = `${clock(time)} / ${clock(this.video.duration)}`;
  }

  get byStart() {
    return (this.inOrder ??= [...this.shown].sort((a, b) => a.start - b.start));
  }

  // Shows the detections of the chosen classes that reach a score.
  choose(choice) {
    if (choice === this.choice) return;
    this.choice = choice;
    const { least, chosen } = choice;
    this.shown = this.video.detections.filter((d) => d.score >= least && chosen.has(d.label));
    this.inOrder = null;
    const truth = (this.video.truth || []).filter((action) => chosen.has(action.label));
    this.timeline.show(this.shown, truth);
    const count = this.shown.length;
    this.find(".count").textContent =
      `${grouped(count)} detection${count === 1 ? "" : "s"}`;
    this.find(".none").hidden = count > 0;
    this.find(".table").hidden = count === 0;
    this.sort(this.order);
  }

  sort(order) {
    this.order = order;
    this.listed = order === "score" ? this.shown : this.byStart;
    for (const header of this.article.querySelectorAll("th[data-order]")) {
      const sorted = header.dataset.order === order;
      header.ariaSort = !sorted ? "none" : order === "score" ? "descending" : "ascending";
    }
    this.turn(0);
  }

  // Shows the page of the table that contains a row.
  turn(first) {
    const count = this.listed.length;
    this.first = first = Math.max(0, Math.min(first, Math.floor((count - 1) / ROWS) * ROWS));
    const page = this.listed.slice(first, first + ROWS);
    this.find("tbody").replaceChildren(...page.map((detection) => this.row(detection)));
    this.find(".pager").hidden = count <= ROWS;
    this.find(".range").textContent =
      `${first + 1}–${first + page.length} of ${grouped(count)}`;
    this.find("[data-do=back]").disabled = first === 0;
    this.find("[data-do=forth]").disabled = first + ROWS >= count;
  }

  row(detection) {
    const row = document.getElementById("row").content.firstElementChild.cloneNode(true);
    const { name, color } = this.classes[detection.label], { start, end, score } = detection;
    row.style.setProperty("--color", color);
    row.style.setProperty("--share", `${100 * Math.min(score, 1)}%`);
    row.ariaSelected = detection === this.timeline.selected;
    row.querySelector(".name").textContent = name;
    const texts = [clock(start), clock(end), `${(end - start).toFixed(1)} s`, score.toFixed(3)];
    row.querySelectorAll(".number").forEach((cell, i) => (cell.textContent = texts[i]));
    return row;
  }

  pick(segment, play) {
    this.timeline.select(segment);
    if (play) this.player.play(segment.start, segment.end);
    else this.player.seek(segment.start);
    this.find(".status").textContent = describe(segment, this.classes);
    const place = this.listed.indexOf(segment), page = Math.floor(place / ROWS) * ROWS;
    if (place >= 0 && page !== this.first) this.turn(page);
    [...this.find("tbody").rows].forEach((row, i) => (row.ariaSelected = this.first + i === place));
  }

  // Goes to the next (1) or previous (-1) detection in time.
  step(direction) {
    const place = this.byStart.indexOf(this.timeline.selected), { time } = this.player;
    let next = this.byStart[place + direction];
    if (place < 0)
      next = direction > 0
        ? this.byStart.find((detection) => detection.start >= time)
        : this.byStart.findLast((detection) => detection.start < time);
    if (next) this.pick(next, this.player.playing);
  }
}

// Objects from the columns, which keep the page small.
function segments({ labels, starts, ends, scores }) {
  return labels.map((label, i) => {
    return { label, start: starts[i], end: ends[i], score: scores[i] ?? null };
  });
}

function main(data) {
  const articles = [...document.querySelectorAll("article")], views = new Map(), near = new Set();
  const slider = document.getElementById("threshold");
  const boxes = [...document.querySelectorAll(".classes input")];
  let choice = null, current = articles[0];

  const viewOf = (article) => {
    if (!views.has(article)) {
      const { duration, detections, truth } = data.videos[articles.indexOf(article)];
      const video = { duration, detections: segments(detections), truth: truth && segments(truth) };
      views.set(article, new VideoView(article, video, data.classes));
      views.get(article).at(0, false);
    }
    views.get(article).choose(choice);
    return views.get(article);
  };

  const update = () => {
    const chosen = new Set(boxes.filter((box) => box.checked).map((box) => Number(box.value)));
    choice = { least: Number(slider.value), chosen };
    document.getElementById("value").textContent = choice.least.toFixed(2);
    near.forEach(viewOf);
  };
  for (const input of [slider, ...boxes]) input.addEventListener("input", update);
  for (const [id, checked] of [["all", true], ["no-class", false]])
    document.getElementById(id)?.addEventListener("click", () => {
      for (const box of boxes) box.checked = checked;
      update();
    });
  update();

  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) near.add(target) && viewOf(target);
      else near.delete(target);
    }
  }, { rootMargin: "300px" });
  for (const article of articles) observer.observe(article);
  addEventListener("beforeprint", () => articles.forEach(viewOf));

  // Keys apply to the video that was used last.
  for (const article of articles)
    for (const event of ["pointerdown", "focusin"])
      article.addEventListener(event, () => (current = article));
  const view = () => viewOf(current);
  const keys = {
    " ": () => view().player.toggle(),
    ArrowLeft: () => view().step(-1),
    ArrowRight: () => view().step(1),
    "+": () => view().timeline.zoom(0.5, view().middle),
    "=": () => view().timeline.zoom(0.5, view().middle),
    "-": () => view().timeline.zoom(2, view().middle),
    0: () => view().timeline.view(0, view().video.duration),
  };
  document.addEventListener("keydown", (event) => {
    const { key, target } = event, action = keys[key];
    if (!action || !current || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest("input, video") || (key === " " && target.closest("button, a"))) return;
    if (key === " " && !view().player.element) return;
    event.preventDefault();
    action();
  });
}

main(JSON.parse(document.getElementById("data").textContent));
