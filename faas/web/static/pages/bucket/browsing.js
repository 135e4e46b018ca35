/** A bucket's keys as folders and objects. The API lists keys in order; what lies below a folder is skipped at once. */

import * as calls from "../../calls.js";

const PAGE = 500;
const ENTRIES = 200;
/** A folder that fills a page is jumped over; so many questions are asked before what was found is shown. */
const MOST_QUESTIONS = 20;
const LAST = "\u{10FFFF}";

/** The next entries below a prefix: `{entries, next}`, where `next` goes into `after`, and is "" at the end. */
export async function browse(bucket, prefix, after, signal) {
  const entries = [];
  let next = after;
  for (let asked = 0; asked < MOST_QUESTIONS && entries.length < ENTRIES; asked += 1) {
    const answer = await calls.objects(bucket, { prefix, after: next, limit: PAGE }, signal);
    entries.push(...grouped(answer.objects, prefix, entries.at(-1)));
    next = answer.next === null ? "" : past(answer.objects, prefix);
    if (!next) break;
  }
  return { entries, next };
}

/** Objects as entries: those in folders become one entry each folder. `last` is the entry before them. Pure. */
export function grouped(objects, prefix, last) {
  const entries = [];
  let folder = last?.isFolder ? last.key : null;
  for (const object of objects) {
    const rest = object.key.slice(prefix.length);
    const slash = rest.indexOf("/");
    if (slash < 0) {
      entries.push({ ...object, name: rest || object.key, isFolder: false });
    } else if (folder !== prefix + rest.slice(0, slash + 1)) {
      folder = prefix + rest.slice(0, slash + 1);
      entries.push({ key: folder, name: rest.slice(0, slash), isFolder: true });
    }
  }
  return entries;
}

function past(objects, prefix) {
  const { key } = objects.at(-1);
  const slash = key.indexOf("/", prefix.length);
  return slash < 0 ? key : key.slice(0, slash + 1) + LAST;
}
