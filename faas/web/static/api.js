/** Asks the control API. Whatever goes wrong becomes a `Problem` that says what, where, and what to do. */

/** An error that a person can read. `status` is 0 when nobody answered. */
export class Problem extends Error {
  constructor({ status, code, message, hint, where }) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.where = where;
  }
}

const MARK = { "Faas-Page": "1" };
let loggedOut = () => {};

/** What happens when the session has ended. */
export function onLoggedOut(listener) {
  loggedOut = listener;
}

/** A path with its parts escaped: ``path`/api/v1/functions/${name}` ``. */
export function path(texts, ...parts) {
  return texts.reduce((whole, text, place) => whole + encodeURIComponent(parts[place - 1]) + text);
}

/** A path with a query; what is empty is left out, and a list comes several times. */
export function query(address, fields) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const each of [value].flat()) {
      if (each !== null && each !== undefined && each !== "") given.append(name, each);
    }
  }
  const text = given.toString();
  return text ? `${address}?${text}` : address;
}

/** Ask, and give the JSON of the answer. Raises `Problem`. */
export async function ask(address, { method = "GET", body, headers = {}, signal } = {}) {
  const where = `${method} ${address.split("?")[0]}`;
  const response = await sent(address, { method, body, headers: { ...MARK, ...headers }, signal }, where);
  const text = await response.text();
  if (!response.ok) throw refusal(response, text, where);
  if (!text) return null;
  try {
    return parsed(text);
  } catch {
    throw new Problem({ status: response.status, code: "bad_answer", message: "The answer is not JSON.", where });
  }
}

/** GET some JSON. */
export const get = (address, signal) => ask(address, { signal });

/** POST some JSON, or nothing. */
export const post = (address, value, { signal, headers } = {}) =>
  ask(address, {
    method: "POST",
    body: value === undefined ? undefined : JSON.stringify(value),
    headers: value === undefined ? headers : { "Content-Type": "application/json", ...headers },
    signal,
  });

/** DELETE something. */
export const remove = (address) => ask(address, { method: "DELETE" });

async function sent(address, options, where) {
  try {
    return await fetch(address, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      status: 0,
      code: "away",
      message: "The platform does not answer.",
      hint: "See whether `faas up` is running; this page goes on by itself when it is back.",
      where,
    });
  }
}

function refusal(response, text, where) {
  const told = said(text);
  if (response.status === 401) loggedOut();
  return new Problem({
    status: response.status,
    code: told.code ?? String(response.status),
    message: told.message ?? `The platform answered ${response.status}.`,
    hint: told.hint,
    where,
  });
}

/** What an error body says; nothing when it is none of the platform's. */
export function said(text) {
  try {
    return JSON.parse(text).error ?? {};
  } catch {
    return {};
  }
}

/** JSON in which an integer that no number holds exactly becomes a BigInt: amounts of money, and ids of users. */
export function parsed(text) {
  return /\d{16}/.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
}

function exact(_, value, context) {
  const isLong = typeof value === "number" && !Number.isSafeInteger(value);
  return isLong && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value;
}

/** Whether there is no such route: a platform of another version, or a part that is not there. */
export const isMissing = (problem) => problem.status === 404 && /^no such path/.test(problem.message);

/**
 * PUT a file and hear how far it is; `fetch` does not tell of what it sends.
 *
 * `onProgress` gets a number from 0 to 1. Raises `Problem`.
 */
export function upload(address, file, onProgress, signal) {
  const where = `PUT ${address}`;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    request.setRequestHeader("Faas-Page", MARK["Faas-Page"]);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => onProgress(event.total ? event.loaded / event.total : 0));
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(parsed(request.responseText));
      else reject(refusal(request, request.responseText, where));
    });
    request.addEventListener("error", () =>
      reject(new Problem({ status: 0, code: "away", message: "The upload broke off.", hint: "Drop it again.", where })),
    );
    request.addEventListener("abort", () => reject(new DOMException("left", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
