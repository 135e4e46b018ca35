/**
 * No line twice: a line comes as it is printed, with the id 0, and later from the ledger, in either order.
 *
 * The two are the same when their invocation, attempt and text are; `faas.core.logs.repeats` decides so, too.
 */

const MOST = 20_000;

/** What one follower has been shown; `fresh(lines)` gives those that were not, which count as shown from then on. */
export function seenLines() {
  const live = new Map();
  const stored = new Map();

  function isFresh(line) {
    const same = `${line.invocation_id} ${line.attempt} ${line.text}`;
    // One that comes live after the ledger had it has its very moment. Another that says the same has not.
    const exactly = `${line.at_ms} ${same}`;
    if (line.id) return !taken(live, same) && note(stored, exactly);
    return !taken(stored, exactly) && note(live, same);
  }

  return { fresh: (lines) => lines.filter(isFresh) };
}

function note(shown, key) {
  const count = shown.get(key) ?? 0;
  shown.delete(key);
  shown.set(key, count + 1);
  if (shown.size > MOST) shown.delete(shown.keys().next().value);
  return true;
}

/** Whether one of these was shown the other way; then it counts no more. */
function taken(shown, key) {
  const count = shown.get(key) ?? 0;
  if (count > 1) shown.set(key, count - 1);
  else shown.delete(key);
  return count > 0;
}
