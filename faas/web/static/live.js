/**
 * Live events: one stream for the whole page, opened again when it breaks.
 *
 * Pages listen for `record`, `log`, `status` and `alarm`. `state` events say whether the stream is there: pages ask
 * now and then instead while it is not. A stream that the platform had to cut short for a slow browser says `missed`,
 * and one whose source is away, such as Redis, says `away`.
 */

const AGAIN_MS = [500, 1000, 2000, 5000, 10_000];
const TYPES = ["record", "log", "status", "alarm", "missed", "away"];
const target = new EventTarget();
let source = null;
let filter = "";
let failures = 0;
let timer = 0;

/** Whether events come: `away`, `open` or `opening`. */
export let state = "away";

/** Call `listener(data)` for every event of a type until the signal is aborted. */
export function on(type, listener, signal) {
  target.addEventListener(type, (event) => listener(event.detail), { signal });
}

/** Open the stream of these types of events, of all functions or one; open it anew when it is of others. */
export function open({ types, ...of }) {
  const wanted = new URLSearchParams([...types.map((type) => ["types", type]), ...Object.entries(of)]).toString();
  if (source && wanted === filter) return;
  filter = wanted;
  connect();
}

/** End it, as nobody is logged in. */
export function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
  become("away");
}

function connect() {
  clearTimeout(timer);
  source?.close();
  if (state !== "open") become("opening");
  const mine = new EventSource(`/api/v1/events?${filter}`);
  source = mine;
  mine.addEventListener("open", () => {
    failures = 0;
    become("open");
  });
  // The browser's own way to open it again gives up after an answer that is no stream, such as one of a proxy.
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    mine.close();
    become("away");
    timer = setTimeout(connect, AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)]);
  });
  for (const type of TYPES) mine.addEventListener(type, (event) => tell(type, event.data));
}

function tell(type, text) {
  become(type === "away" ? "away" : "open");
  try {
    target.dispatchEvent(new CustomEvent(type, { detail: JSON.parse(text) }));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
}

function become(now) {
  if (state === now) return;
  state = now;
  target.dispatchEvent(new CustomEvent("state", { detail: now }));
}

// A hidden page needs no events, and a browser allows only six connections to one place.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    source?.close();
  } else if (source) {
    connect();
  }
});
