// What the server tells while the page is open: changes by others, copies of videos, learning.

const TOGETHER_MS = 300; // events within this time make one request

function listenToServer(page) {
  const source = new EventSource("/api/events");
  let lost = false, waiting = null;

  // Fetches the project, or only its figures, once for many events.
  const soon = () => {
    waiting ??= setTimeout(() => {
      waiting = null;
      page.refresh().catch(() => {});
    }, TOGETHER_MS);
  };

  const told = {
    video({ number, version }) {
      if (page.own.delete(version)) return;
      if (page.open?.number !== number) return soon();
      if (version <= page.open.version) return;
      page.foreign.add(version);
      if (!page.saver.waiting(number).length) page.load(number).then(soon);
    },
    classes: soon,
    proxy({ number, state, progress }) {
      page.list.update(number, { proxy: state, progress });
      page.copies.set(number, { proxy: state, progress });
      if (page.open?.number === number) page.showVideo(state, progress);
    },
    learn(state) {
      page.learn.show(state);
      if (state.state === "done") soon();
    },
    file: ({ message }) => {
      page.notice(message);
      soon();
    },
  };

  source.addEventListener("message", ({ data }) => {
    const event = JSON.parse(data);
    told[event.kind]?.(event);
  });
  source.addEventListener("error", () => {
    lost = true;
    if (!page.saver.queue.length) page.showSaved("the server does not answer", true);
  });
  source.addEventListener("open", () => {
    // Nobody tells what happened before, so the video is fetched again.
    const { open, saver } = page, waits = open && saver.waiting(open.number).length;
    if (document.body.dataset.view === "video" && !waits) page.route();
    if (!lost) return;
    lost = false;
    if (page.saver.queue.length) page.saver.run();
    else page.showSaved("saved", false);
    soon();
  });
}
