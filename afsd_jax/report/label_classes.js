// The list of classes of an open video: choose, find, add, rename, colour and remove. With a label
// selected, choosing a class changes the label's.

class ClassList {
  // onChoose(index), onChange(change of the classes).
  constructor(root, onChoose, onChange) {
    Object.assign(this, { root, onChoose, onChange, classes: [] });
    [this.form, this.list] = ["form", "ol"].map((tag) => part(tag, root));
    this.input = part("input", this.form);
    this.input.addEventListener("input", () => this.filter());
    this.input.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.clear();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.enter(this.input.value.trim());
    });
  }

  // counts: number of segments of each class in the open video, by name.
  show(classes, counts) {
    if (classes !== this.classes) {
      this.classes = classes;
      this.list.replaceChildren(...classes.map((one, index) => this.row(one, index)));
      this.filter();
    }
    [...this.list.children].forEach((row, index) => {
      const count = counts.get(classes[index].name) ?? 0;
      part(".count", row)?.replaceChildren( count ? grouped(count) : "");
    });
  }

  // Marks the class of the selected label, or of the next.
  mark(chosen) {
    [...this.list.children].forEach((row, index) =>
      part(".choose", row)?.setAttribute("aria-pressed", index === chosen));
    const row = this.list.children[chosen], { list } = this;
    if (!row) return;
    const top = row.offsetTop - list.offsetTop, room = list.clientHeight - row.offsetHeight;
    list.scrollTop = Math.min(Math.max(list.scrollTop, top - room), top);
  }

  filter() {
    const asked = this.input.value.trim().toLowerCase();
    [...this.list.children].forEach((row, index) => {
      row.hidden = !this.classes[index].name.toLowerCase().includes(asked);
    });
  }

  // Chooses the class of this name, or adds one.
  enter(name) {
    if (!name) return;
    const found = this.classes.findIndex((one) => one.name.toLowerCase() === name.toLowerCase());
    if (found < 0) this.onChange({ put: [{ name, color: freeColor(this.classes) }] });
    this.onChoose(found < 0 ? this.classes.length - 1 : found);
    this.clear();
  }

  clear() {
    this.input.value = "";
    this.input.blur();
    this.filter();
  }

  row({ name, color }, index) {
    const paint = make("input", { type: "color", value: color, title: "colour",
      ariaLabel: `colour of ${name}` });
    paint.addEventListener("change", () => this.onChange({ put: [{ name, color: paint.value }] }));
    const choose = make("button", { type: "button", className: "choose", title: name },
      make("span", { className: "name", textContent: name }),
      make("span", { className: "count muted" }),
      make("kbd", { textContent: index < 10 ? String((index + 1) % 10) : "" }));
    choose.addEventListener("click", () => this.onChoose(index));
    choose.addEventListener("dblclick", () => this.rename(index));
    const edit = make("button", { type: "button", className: "edit", textContent: "✎",
      title: "rename", ariaLabel: `rename ${name}` });
    edit.addEventListener("click", () => this.rename(index));
    return make("li", {}, paint, choose, edit);
  }

  // Puts a field in place of a name; an empty name removes the class.
  rename(index) {
    const { name, color } = this.classes[index], row = this.list.children[index];
    const field = make("input", { value: name, maxLength: 100, className: "renaming", spellcheck: false,
      ariaLabel: `new name of ${name}`, placeholder: "empty: remove the class" });
    const choose = part(".choose", row);
    let ended = false; // taking the field away is also leaving it
    const end = (change) => {
      if (ended) return;
      ended = true;
      field.replaceWith(choose);
      if (change) this.onChange(change);
    };
    const settle = () => {
      const fresh = field.value.trim();
      if (fresh === name) return end(null);
      end(fresh ? { put: [{ name: fresh, color, was: name }] } : { remove: [name] });
    };
    field.addEventListener("keydown", ({ key }) => {
      if (key === "Enter") settle();
      if (key === "Escape") end(null);
    });
    field.addEventListener("blur", settle);
    choose.replaceWith(field);
    field.select();
  }
}

// The colours of afsd_jax/report/colors.py; the first that is not used.
const PALETTE = [
  "#3b6fb6", "#d9722e", "#2f9284", "#c4424f", "#7f5fb0",
  "#a8842c", "#c2578f", "#4d8f3a", "#2c8fb5", "#8a6250",
];

function freeColor(classes) {
  const used = new Set(classes.map(({ color }) => color));
  return PALETTE.find((color) => !used.has(color)) ?? PALETTE[classes.length % PALETTE.length];
}
