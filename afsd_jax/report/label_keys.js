// The keys of the page, their overlay, and what they do. An action is a name in the page's actions.

const KEYS = {
  Video: [
    ["Space", "play", "play or pause"],
    [",", "back", "one frame back"],
    [".", "forth", "one frame forth"],
    ["ArrowLeft", "back-second", "one second back"],
    ["ArrowRight", "forth-second", "one second forth"],
    ["Home", "first", "to the first frame"],
    ["End", "last", "to the last frame"],
    ["<", "slower", "slower"],
    [">", "faster", "faster"],
    ["l", "loop", "repeat the selected label, or stop that"],
  ],
  Labels: [
    ["i", "mark-in", "a label starts here"],
    ["o", "mark-out", "it ends here"],
    ["1 – 9, 0", "", "class of the selected label, or of the next"],
    ["ArrowUp", "previous", "select the previous"],
    ["ArrowDown", "next", "select the next"],
    ["[", "set-start", "the selected starts here"],
    ["]", "set-end", "the selected ends here"],
    ["Shift+ArrowLeft", "move-back", "move the selected one frame back"],
    ["Shift+ArrowRight", "move-forth", "move the selected one frame forth"],
    ["s", "split", "split the selected here"],
    ["m", "merge", "merge with the next of its class"],
    ["Delete", "delete", "delete the selected"],
    ["e", "note", "write a note"],
    ["c", "class", "find or add a class"],
    ["Escape", "escape", "select nothing, forget the start"],
    ["Ctrl+z", "undo", "undo"],
    ["Ctrl+Shift+z", "redo", "redo"],
  ],
  Suggestions: [
    ["n", "next-uncertain", "next by uncertainty"],
    ["p", "previous-uncertain", "previous by uncertainty"],
    ["Enter", "accept", "accept"],
    ["x", "reject", "reject"],
  ],
  View: [
    ["+", "in", "zoom in"],
    ["-", "out", "zoom out"],
    ["z", "frames", "zoom to frames"],
    ["f", "fit", "the whole video"],
    ["r", "reviewed", "the video is reviewed, or not"],
    ["PageDown", "next-video", "next video"],
    ["PageUp", "previous-video", "previous video"],
    ["/", "search", "search the videos"],
    ["?", "keys", "show or hide these keys"],
  ],
};
const ALSO = {
  Backspace: "delete", u: "undo", "Ctrl+y": "redo", "=": "in", "Shift+ArrowUp": "previous-uncertain",
  "Shift+ArrowDown": "next-uncertain",
};
const ACTION_OF = new Map([
  ...Object.entries(ALSO), ...Object.values(KEYS).flat().map(([key, action]) => [key, action]),
]);
const SIGNS = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Delete: "Del", Escape: "Esc",
  PageDown: "Page ↓", PageUp: "Page ↑", Shift: "⇧", z: "Z", "-": "−",
};

// The name of a pressed key, as in KEYS. Shift counts only where the character does not tell it.
function keyOf({ key, ctrlKey, metaKey, shiftKey, altKey }) {
  if (altKey) return "";
  const control = ctrlKey || metaKey, long = key.length > 1 || control;
  const name = key === " " ? "Space" : key.length > 1 ? key : key.toLowerCase();
  return (control ? "Ctrl+" : "") + (shiftKey && long ? "Shift+" : "") + name;
}

// Calls act(action) and choose(class number) for keys, except where somebody types.
function listenToKeys(act, choose) {
  document.addEventListener("keydown", (event) => {
    const { target } = event, key = keyOf(event), dialog = part("dialog[open]");
    const typing = target.closest("input:not([type=range], [type=checkbox]), textarea, select");
    if (typing && key === "Escape") target.blur();
    if (typing || (dialog && key !== "?")) return;
    const pressable = target.closest("button, a, summary");
    if (pressable && (key === "Enter" || key === "Space")) return;
    if (target.closest("[type=range]") && key.startsWith("Arrow")) return;
    if (!/^\d$/.test(key) && !ACTION_OF.get(key)) return;
    event.preventDefault();
    if (/^\d$/.test(key)) choose((Number(key) + 9) % 10);
    else act(ACTION_OF.get(key));
  });
  // What a pointer pressed does not keep Enter and Space for itself; detail is 0 of the keyboard's.
  document.addEventListener("click", ({ detail, target }) => {
    const pressed = target.closest("button, a, summary");
    if (detail && pressed === document.activeElement) pressed?.blur();
  });
}

// Fills the overlay of keys.
function showKeys(root) {
  for (const [group, rows] of Object.entries(KEYS)) {
    const list = make("dl");
    for (const [key, , text] of rows) {
      const signs = key.length > 1 ? key.split("+") : [key];
      const caps = signs.map((sign) =>
        make("kbd", { textContent: SIGNS[sign] ?? sign.replace(/^[a-z]$/, sign.toUpperCase()) }));
      list.append(make("dt", {}, ...caps), make("dd", { textContent: text }));
    }
    root.append(make("section", {}, make("h3", { textContent: group }), list));
  }
}
