// Small charts of an evaluation, as elements of the page: bars, stacked columns, curves.

// An element with properties and children; texts are never read as HTML.
function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties))
    if (key === "style")
      for (const [rule, text] of Object.entries(value)) element.style.setProperty(rule, text);
    else if (key.startsWith("aria-") || key === "role") element.setAttribute(key, value);
    else element[key] = value;
  element.append(...children);
  return element;
}

const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
const count = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;

// A button within the text.
const link = (text, title, onclick) => el("button", { type: "button", title, onclick }, text);

// A name, a bar and a number; with `open` the whole row is a button.
function barRow({ name, share, text, color, hint = "", open = null }) {
  const width = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  const properties = { className: "bar-row", title: hint, style: { "--color": color } };
  const row = el(open ? "button" : "div", properties,
    el("span", { className: "bar-name" }, name),
    el("span", { className: "bar-track" }, el("span", { className: "bar-fill", style: { width } })),
    el("span", { className: "bar-text" }, text));
  if (open) Object.assign(row, { type: "button", onclick: open });
  return row;
}

// columns: {name, parts: [{share, color, hint, open}], text}; parts are stacked from below.
function stackedColumns(columns) {
  const bars = columns.map(({ name, parts, text = "" }) =>
    el("div", { className: "stack" },
      el("span", { className: "stack-text" }, text),
      el("div", { className: "stack-parts" }, ...parts.toReversed().filter(({ share }) => share > 0)
        .map(({ share, color, hint, open }) => {
          const part = el(open ? "button" : "div", { className: "part", title: hint,
            style: { "--color": color, height: `${100 * share}%` } });
          if (open) Object.assign(part, { type: "button", ariaLabel: hint, onclick: open });
          return part;
        })),
      el("span", { className: "stack-name" }, name)));
  return el("div", { className: "stacks" }, ...bars);
}

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Curves in a square of shares. lines: {name, points: [[x, y], …], color, dashed, dots}.
// axes: {x, y: names; left, right: ends of the x axis; written: an x value as text}.
function curves(lines, { x, y, left = 0, right = 1, marks = [0, 0.25, 0.5, 0.75, 1],
  written = (value) => `${Number(value.toFixed(3))}` }) {
  const [width, height, from, to, top, bottom] = [520, 300, 52, 504, 12, 258];
  const wide = (to - from) / (right - left || 1);
  const across = (value) => (from + (value - left) * wide).toFixed(1);
  const up = (value) => (bottom - value * (bottom - top)).toFixed(1);
  const box = `0 0 ${width} ${height}`;
  const chart = svg("svg", { viewBox: box, role: "img", "aria-label": `${y} by ${x}` });
  for (const value of [0, 0.25, 0.5, 0.75, 1])
    chart.append(svg("line", { x1: from, x2: to, y1: up(value), y2: up(value) }),
      svg("text", { x: from - 6, y: Number(up(value)) + 4, "text-anchor": "end" }, percent(value)));
  for (const value of marks)
    chart.append(
      svg("text", { x: across(value), y: bottom + 17, "text-anchor": "middle" }, written(value)));
  chart.append(svg("text", { x: (from + to) / 2, y: height - 6, "text-anchor": "middle" }, x));
  for (const { name, points, color, dashed, dots } of lines) {
    const places = points.map(([a, b]) => `${across(a)},${up(b)}`).join(" ");
    const style = `stroke:${color}${dashed ? ";stroke-dasharray:4 4;stroke-width:1" : ""}`;
    if (points.length > 1)
      chart.append(svg("polyline", { points: places, style }, svg("title", {}, name)));
    if (dots || points.length === 1)
      for (const [a, b] of points)
        chart.append(svg("circle", { cx: across(a), cy: up(b), r: 4, style: `fill:${color}` },
          svg("title", {}, `${name}: ${percent(b, 1)} at ${written(a)}`)));
  }
  return chart;
}
