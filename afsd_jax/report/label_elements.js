// Parts of the document. Everything that a person or a file wrote is set as text, never as HTML.

const part = (selector, root = document) => root.querySelector(selector);

// An element with properties and children; `style` and `dataset` are objects.
function make(tag, { style = {}, dataset = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const counted = (count, one, many = one + "s") => `${grouped(count)} ${count === 1 ? one : many}`;

// Seconds of a text such as 62.5, 1:02.5 or 1:00:02.5; NaN if it is none.
function secondsOf(text) {
  const parts = text.trim().replace(",", ".").split(":");
  if (parts.length > 3 || parts.some((one) => !/^\d+(\.\d+)?$/.test(one))) return NaN;
  return parts.reduce((total, one) => 60 * total + Number(one), 0);
}
