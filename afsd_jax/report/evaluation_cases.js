// The videos behind a bar: a list of cases, and a player with the true and the detected actions of
// the chosen case's video side by side. A case is an action or a detection, with a line about it.

const CASES = 10; // per page of the list
const CONTEXT = 1.5; // how much of the video is in view, in lengths of the case to each side

// Objects from columns; row numbers are those of the columns.
function segmentsOf({ videos, labels, starts, ends, scores }) {
  return videos.map((video, row) => {
    const [label, start, end] = [labels[row], starts[row], ends[row]];
    return { row, video, label, start, end, score: scores ? scores[row] : null };
  });
}

class Cases {
  constructor(dialog, videos, classes, segmentsOf) {
    Object.assign(this, { dialog, videos, classes, segmentsOf, listed: [], first: 0, video: null });
    const find = (this.find = (selector) => dialog.querySelector(selector));
    this.element = find("video");
    this.timeline = new Timeline(find(".timeline"), { duration: 1, truth: [] }, classes,
      (segment, time) => (segment ? this.play(segment) : this.player?.seek(time)));
    find(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => this.element.pause());
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
    find("[data-do=back]").addEventListener("click", () => this.turn(this.first - CASES));
    find("[data-do=forth]").addEventListener("click", () => this.turn(this.first + CASES));
    find("tbody").addEventListener("click", ({ target }) => {
      const row = target.closest("tr");
      if (row) this.pick(this.listed[this.first + row.sectionRowIndex], true);
    });
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || event.target.closest("video, canvas")) return;
      const next = this.listed[this.listed.indexOf(this.chosen) + step];
      if (!next) return;
      event.preventDefault();
      this.turn(Math.floor(this.listed.indexOf(next) / CASES) * CASES);
      this.pick(next, true);
    });
  }

  // cases: [{segment, text}], the first is shown.
  open(title, cases, empty) {
    this.listed = cases;
    this.find("h2").textContent = title;
    this.find(".empty").textContent = empty;
    this.find(".empty").hidden = cases.length > 0;
    for (const part of this.dialog.querySelectorAll(".of-cases")) part.hidden = !cases.length;
    this.dialog.showModal();
    this.turn(0);
    if (cases.length) this.pick(cases[0], false);
  }

  turn(first) {
    const { length } = this.listed;
    this.first = first = Math.max(0, Math.min(first, Math.floor((length - 1) / CASES) * CASES));
    const page = this.listed.slice(first, first + CASES);
    this.find("tbody").replaceChildren(...page.map((entry) => this.row(entry)));
    this.find(".pager").hidden = length <= CASES;
    this.find(".range").textContent =
      `${first + 1}–${first + page.length} of ${grouped(length)}`;
    this.find("[data-do=back]").disabled = first === 0;
    this.find("[data-do=forth]").disabled = first + CASES >= length;
  }

  row(entry) {
    const { segment } = entry, { name, color } = this.classes[segment.label];
    return el("tr", { style: { "--color": color }, ariaSelected: entry === this.chosen },
      el("td", {}, el("button", { type: "button" }, el("span", { className: "dot" }),
        el("span", {}, name, el("small", {}, this.videos[segment.video].name)))),
      el("td", {}, clock(segment.start)),
      el("td", {}, segment.score === null ? "–" : segment.score.toFixed(3)));
  }

  pick(entry, play) {
    const { segment, text } = entry, video = this.videos[segment.video];
    this.chosen = entry;
    [...this.find("tbody").rows].forEach((row, i) =>
      (row.ariaSelected = this.listed[this.first + i] === entry));
    this.load(segment.video);
    const { shown, truth } = this.segmentsOf(segment);
    this.timeline.video.duration = video.duration;
    this.timeline.show(shown, truth);
    const room = Math.max(CONTEXT * (segment.end - segment.start), 2);
    this.timeline.view(segment.start - room, segment.end + room);
    this.timeline.select(segment);
    const times = `${clock(segment.start)} to ${clock(segment.end)}`;
    this.find(".where").textContent = `${video.name}, ${times}`;
    this.find(".why").textContent = text;
    if (play) this.play(segment);
    else this.player?.seek(segment.start) ?? this.timeline.setTime(segment.start, false);
  }

  // Plays a second around a segment, too, so that its ends are seen.
  play({ start, end }) {
    if (this.player) this.player.play(Math.max(start - 1, 0), end + 1);
    else this.timeline.setTime(start, false);
  }

  load(number) {
    if (number === this.video) return;
    const { url, name, copy, convert } = this.videos[(this.video = number)], old = this.element;
    this.element = old.cloneNode(false); // a new element, as a player's listeners stay with theirs
    old.pause();
    old.replaceWith(this.element);
    this.timeline.name = `timeline of ${name}`;
    this.dialog.classList.toggle("with-video", Boolean(url));
    this.find(".missing").hidden = true;
    this.player = null;
    if (!url) return this.element.removeAttribute("src");
    this.element.dataset.copy = copy;
    this.element.src = url;
    this.find(".convert").textContent = convert;
    const follow = (time, playing) => this.timeline.setTime(time, playing);
    this.player = new Player(this.element, follow, () => {
      this.player = null;
      this.dialog.classList.remove("with-video");
      this.find(".missing").hidden = false;
    });
  }
}
