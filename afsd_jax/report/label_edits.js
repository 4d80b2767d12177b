// Changes of one video's labels, as values. A change is {put, remove, accept, unaccept, reject,
// unreject, reviewed}: segments to put, ids to remove, suggestions to accept or reject and to take
// back, and whether the video is reviewed. What is left out stays as it is. Times are seconds.

const isSuggestion = (item) => item.score !== undefined;

// The labels of a video as the server sends it.
function labelsOf({ segments, suggestions, rejected, reviewed }) {
  const byId = (items) => new Map(items.map((item) => [item.id, item]));
  return {
    segments: byId(segments), suggestions: byId(suggestions), rejected: byId(rejected), reviewed,
  };
}

// The labels after a change; those given stay as they are.
function changed(labels, change) {
  const { put = [], remove = [], accept = [], unaccept = [], reject = [], unreject = [] } = change;
  const { segments, suggestions, rejected } = labels;
  const replaced = (items, without, added) => {
    if (!without.length && !added.length) return items;
    const result = new Map(items);
    for (const id of without) result.delete(id);
    for (const item of added) result.set(item.id, item);
    return result;
  };
  const ids = (items) => items.map(({ id }) => id);
  return {
    segments: replaced(segments, remove, put),
    suggestions: replaced(suggestions, ids([...accept, ...reject]), [...unaccept, ...unreject]),
    rejected: replaced(rejected, ids(unreject), reject),
    reviewed: change.reviewed ?? labels.reviewed,
  };
}

// The change that takes another one back, made from the labels before it.
function inverse(labels, change) {
  const { put = [], remove = [], accept, unaccept, reject, unreject, reviewed } = change;
  const before = [...put.map(({ id }) => id), ...remove].map((id) => labels.segments.get(id));
  const result = {
    put: before.filter(Boolean),
    remove: put.map(({ id }) => id).filter((id) => !labels.segments.has(id)),
    accept: unaccept, unaccept: accept, reject: unreject, unreject: reject,
    reviewed: reviewed === undefined ? undefined : labels.reviewed,
  };
  const told = ([, value]) => value !== undefined && !(Array.isArray(value) && !value.length);
  return Object.fromEntries(Object.entries(result).filter(told));
}

// A change as the server reads it: suggestions by their ids.
function bodyOf(change, version) {
  const body = { ...change, version };
  for (const field of ["accept", "unaccept", "reject", "unreject"])
    if (body[field]) body[field] = body[field].map(({ id }) => id);
  return body;
}

function addition(label, start, end) {
  return { put: [{ id: crypto.randomUUID(), label, start, end, note: "" }] };
}

// Changes fields of a segment. A changed suggestion is accepted as a segment.
function edited(item, fields) {
  if (!isSuggestion(item)) return { put: [{ ...item, ...fields }] };
  const { label, start, end } = item;
  const segment = { id: crypto.randomUUID(), label, start, end, note: "", ...fields };
  return { put: [segment], accept: [item] };
}

// Suggestions as segments, whose ends are on frames.
function acceptance(suggestions, frames) {
  const segments = suggestions.map((suggestion) => {
    const [start, end] = frames.span(suggestion.start, suggestion.end);
    return edited(suggestion, { start, end }).put[0];
  });
  return { put: segments, accept: suggestions };
}

const rejection = (suggestions) => ({ reject: suggestions });

function deletion(item) {
  return isSuggestion(item) ? rejection([item]) : { remove: [item.id] };
}

// Two segments in place of one; null unless the time is within it.
function splitting(segment, time) {
  if (isSuggestion(segment) || time <= segment.start || time >= segment.end) return null;
  const second = { ...segment, id: crypto.randomUUID(), start: time };
  return { put: [{ ...segment, end: time }, second] };
}

// One segment in place of this and the next of its class; null if there is none.
function merging(labels, segment) {
  if (isSuggestion(segment)) return null;
  const next = inTime([...labels.segments.values()]).find((other) =>
    other.id !== segment.id && other.label === segment.label && other.start >= segment.start);
  if (!next) return null;
  const note = [segment.note, next.note].filter(Boolean).join("; ");
  const whole = { ...segment, end: Math.max(segment.end, next.end), note };
  return { put: [whole], remove: [next.id] };
}

// Segments and suggestions in the order of their starts.
function inTime(items) {
  return [...items].sort((a, b) => a.start - b.start || a.end - b.end);
}

// The suggestions, those first whose score is nearest to one half.
function mostUncertainFirst(suggestions) {
  const doubt = ({ score }) => Math.abs(score - 0.5);
  return [...suggestions].sort((a, b) => doubt(a) - doubt(b) || a.start - b.start);
}

// The classes, a list of {name, color}, after a change {put, remove}; `was` in `put` renames.
function changedClasses(classes, { put = [], remove = [] }) {
  const result = classes.filter(({ name }) => !remove.includes(name));
  for (const { name, color, was = name } of put) {
    const place = result.findIndex((one) => one.name === was);
    if (place < 0) result.push({ name, color });
    else result[place] = { name, color };
  }
  return result;
}

// The change of classes that takes another one back, made from the classes before it.
function inverseClasses(classes, { put = [], remove = [] }) {
  const before = new Map(classes.map((one) => [one.name, one]));
  const back = put.filter(({ name, was = name }) => before.has(was)).map(({ name, was = name }) =>
    was === name ? before.get(was) : { ...before.get(was), was: name });
  const added = put.filter(({ name, was = name }) => !before.has(was)).map(({ name }) => name);
  return { put: [...back, ...remove.map((name) => before.get(name))], remove: added };
}

// The labels with their classes as a change of the classes renames them.
function renamedLabels(labels, { put = [] }) {
  const names = new Map(put.filter(({ was }) => was).map(({ name, was }) => [was, name]));
  if (!names.size) return labels;
  const renamed = (items) => new Map([...items].map(([id, item]) =>
    [id, names.has(item.label) ? { ...item, label: names.get(item.label) } : item]));
  const { segments, suggestions, rejected, reviewed } = labels;
  return {
    segments: renamed(segments), suggestions: renamed(suggestions), rejected: renamed(rejected),
    reviewed,
  };
}

// What was done, in order, for undo and redo without limit. An entry has `change` and `inverse`.
class History {
  constructor() {
    [this.done, this.undone] = [[], []];
  }

  record(entry) {
    this.done.push(entry);
    this.undone = [];
  }

  // Moves the last entry from one list to the other and returns it; undefined without any.
  undo() {
    const entry = this.done.pop();
    if (entry) this.undone.push(entry);
    return entry;
  }

  redo() {
    const entry = this.undone.pop();
    if (entry) this.done.push(entry);
    return entry;
  }

  // Forgets an entry that the server refused.
  forget(entry) {
    const others = (list) => list.filter((other) => other !== entry);
    [this.done, this.undone] = [others(this.done), others(this.undone)];
  }
}
