// The list of videos: found by a part of the name, in one of several orders. A row is made once and
// changed in place.

const byName = new Intl.Collator("en", { numeric: true }).compare;
const ORDERS = {
  name: (a, b) => byName(a.name, b.name),
  uncertain: (a, b) => (b.uncertainty ?? -1) - (a.uncertainty ?? -1) || byName(a.name, b.name),
  open: (a, b) => a.reviewed - b.reviewed || byName(a.name, b.name),
  long: (a, b) => b.duration - a.duration || byName(a.name, b.name),
};

class VideoList {
  constructor(root) {
    Object.assign(this, { root, videos: new Map(), rows: new Map(), shown: [], current: null });
    [this.search, this.order, this.list] = ["input", "select", "ol"].map((tag) => part(tag, root));
    this.search.addEventListener("input", () => this.arrange());
    this.order.addEventListener("change", () => {
      this.arrange();
      this.list.scrollTop = 0;
    });
  }

  show(videos) {
    this.videos = new Map(videos.map((video) => [video.number, video]));
    for (const video of videos) this.paint(video);
    this.arrange();
  }

  // Changes fields of one video.
  update(number, fields) {
    const video = this.videos.get(number);
    if (video) this.paint(Object.assign(video, fields));
  }

  arrange() {
    const asked = this.search.value.trim().toLowerCase();
    const found = [...this.videos.values()].filter(({ name }) => name.toLowerCase().includes(asked));
    this.shown = found.sort(ORDERS[this.order.value]);
    this.list.replaceChildren(...this.shown.map(({ number }) => this.rows.get(number)));
    const all = this.videos.size, text = counted(all, "video");
    part(".found", this.root).textContent = asked ? `${grouped(found.length)} of ${text}` : text;
  }

  paint(video) {
    const { number, name, duration, segments, suggestions, reviewed, proxy, progress } = video;
    if (!this.rows.has(number)) this.rows.set(number, this.row(number));
    const row = this.rows.get(number);
    part(".name", row).textContent = name;
    part(".length", row).textContent = clock(duration, 0);
    part(".labels", row).textContent = segments ? counted(segments, "label") : "no labels";
    const chip = part(".suggested", row);
    chip.hidden = !suggestions;
    chip.textContent = grouped(suggestions);
    chip.title = counted(suggestions, "suggestion");
    part(".done", row).hidden = !reviewed;
    const copying = proxy === "waiting" || proxy === "making";
    part(".copy", row).textContent = proxy === "failed" ? "cannot be shown" : copying
      ? `copy ${Math.round(100 * progress)} %` : "";
  }

  row(number) {
    const size = { width: 88, height: 50 }, src = `/thumbnail/${number}`;
    const picture = make("img", { src, alt: "", loading: "lazy", ...size });
    picture.addEventListener("error", () => (picture.style.visibility = "hidden"), { once: true });
    const small = make("span", { className: "small" },
      make("span", { className: "length" }), make("span", { className: "labels" }),
      make("span", { className: "suggested" }), make("span", { className: "copy" }));
    const done = make("span", { className: "done", title: "reviewed", textContent: "✓" });
    const text = make("span", { className: "text" }, make("span", { className: "name" }), small);
    const link = make("a", { href: `#video=${number}` }, picture, text, done);
    return make("li", {}, link);
  }

  // Marks the open video; null: none.
  select(number) {
    this.rows.get(this.current)?.firstChild.removeAttribute("aria-current");
    this.current = number;
    const row = this.rows.get(number);
    row?.firstChild.setAttribute("aria-current", "true");
    row?.scrollIntoView({ block: "nearest" });
  }

  // The number of the next (1) or previous (-1) video in the list; undefined at its ends.
  beside(direction) {
    const place = this.shown.findIndex(({ number }) => number === this.current);
    return this.shown[place + direction]?.number;
  }
}
