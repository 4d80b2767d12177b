// What each key and button does.

const EVERYWHERE = new Set([ // without an open video, too
  "undo", "redo", "keys", "learn", "search", "dismiss", "next-video", "previous-video",
]);

const withSelected = (act) => (page) =>
  page.selected ? act(page, page.selected) : page.say("Select a label first.");
const onSegment = (change, otherwise) => withSelected((page, item) => {
  const made = isSuggestion(item) ? null : change(page, item);
  if (made) page.change(made);
  else page.say(otherwise);
});

// Accepts or rejects the selected suggestion and goes to the next by uncertainty.
const decide = (change) => withSelected((page, item) => {
  if (!isSuggestion(item)) return page.say("This is a label already.");
  const next = page.suggestions.after(item);
  page.change(change([item], page.player.frames), next);
  if (next) page.player.seek(next.start);
});

const nudge = (count) => withSelected((page, item) => {
  const { frames } = page.player, to = frames.times[frames.clamp(frames.at(item.start) + count)];
  const [start, end] = frames.moved(item, to);
  page.edit(item, { start, end });
  page.player.seek(start);
});

const besideInTime = (direction) => (page) => {
  const { items, selected } = page, { time } = page.player;
  const place = items.findIndex(({ id }) => id === selected?.id);
  const next = place >= 0 ? items[place + direction] : direction > 0
    ? items.find(({ start }) => start >= time) : items.findLast(({ start }) => start < time);
  if (next) page.pick(next);
};

const besideUncertain = (direction) => (page) => {
  const next = page.suggestions.beside(page.selected, direction);
  if (next) page.pick(next);
  else page.say("There are no suggestions.");
};

const besideVideo = (direction) => (page) => {
  const number = page.list.beside(direction);
  if (number !== undefined) location.hash = `#video=${number}`;
};

const zoom = (factor) => ({ timeline, player: { time } }) =>
  timeline.zoom(factor, time > timeline.from && time < timeline.to ? time : undefined);

const speed = (direction) => ({ player }) => {
  part(".transport .speed").textContent = `${player.speed(direction)}×`;
};

function markOut(page) {
  const { timeline, player } = page, { mark } = timeline;
  if (mark === null) return page.say("Mark the start first (I).");
  if (!page.classes.length) return page.act("class");
  timeline.setMark(null);
  page.add(page.current, ...player.frames.span(mark, player.time));
}

function markIn(page) {
  page.select(null);
  page.timeline.setMark(page.player.time);
  page.say(`Start at ${clock(page.player.time, 3)}`);
}

function escape(page) {
  page.timeline.setMark(null);
  page.select(null);
  page.say("");
}

function toggleKeys() {
  const dialog = part("dialog.keys");
  if (dialog.open) dialog.close();
  else dialog.showModal();
}

function learnOrStop(page) {
  const action = page.learn.busy ? "stop" : "start";
  ask("/api/learn", { action }).then((answer) => answer?.state && page.learn.show(answer),
    (error) => page.notice(`Learning cannot ${action}: ${error.message}`));
}

const ACTIONS = {
  play: ({ player }) => player.toggle(),
  back: ({ player }) => player.step(-1),
  forth: ({ player }) => player.step(1),
  "back-second": ({ player }) => player.seek(player.time - 1),
  "forth-second": ({ player }) => player.seek(player.time + 1),
  first: ({ player }) => player.goTo(0),
  last: ({ player }) => player.goTo(Infinity),
  slower: speed(-1),
  faster: speed(1),
  loop: (page) => {
    page.player.repeat(page.player.loop ? null : page.selected);
    part("[data-do=loop]").setAttribute("aria-pressed", Boolean(page.player.loop));
    if (!page.player.loop && !page.selected) page.say("Select a label first.");
  },
  sound: ({ player }) => {
    player.setLoud(!player.loud);
    part("[data-do=sound]").setAttribute("aria-pressed", player.loud);
  },
  "mark-in": markIn,
  "mark-out": markOut,
  previous: besideInTime(-1),
  next: besideInTime(1),
  "set-start": withSelected((page, item) => page.edit(item, { start: page.player.time })),
  "set-end": withSelected((page, item) => page.edit(item, { end: page.player.time })),
  "move-back": nudge(-1),
  "move-forth": nudge(1),
  split: onSegment((page, item) => splitting(item, page.player.time),
    "To split a label, go to a frame within it."),
  merge: onSegment((page, item) => merging(page.open.labels, item),
    "No later label of this class to merge with."),
  delete: withSelected((page, item) => page.change(deletion(item), null)),
  note: withSelected((page) => page.panel.field("note").focus()),
  class: ({ classList }) => classList.input.focus(),
  escape,
  undo: (page) => page.takeBack(-1),
  redo: (page) => page.takeBack(1),
  "next-uncertain": besideUncertain(1),
  "previous-uncertain": besideUncertain(-1),
  accept: decide(acceptance),
  reject: decide(rejection),
  "accept-all": (page) => page.change(acceptance(page.suggestions.reaching, page.player.frames), null),
  in: zoom(0.5),
  out: zoom(2),
  frames: ({ timeline }) => {
    const span = timeline.shortest * 2;
    timeline.view(timeline.time - span / 2, timeline.time + span / 2);
  },
  fit: ({ timeline }) => timeline.view(0, timeline.video.duration),
  reviewed: (page) => page.change({ reviewed: !page.open.labels.reviewed }, page.selected),
  "next-video": besideVideo(1),
  "previous-video": besideVideo(-1),
  search: ({ list }) => list.search.focus(),
  keys: toggleKeys,
  learn: learnOrStop,
  dismiss: (page) => page.notice(""),
};
