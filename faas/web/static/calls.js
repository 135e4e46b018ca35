/** The control API's routes as this page uses them, one function each: no other file knows an address or a parameter. */

import { ask, get, path, post, query, remove } from "./api.js";

const V1 = "/api/v1";

export const logIn = (token) => post(`${V1}/login`, { token });
export const logInByCode = (code) => post(`${V1}/login`, { code });
export const logOut = () => remove(`${V1}/session`);

export const overview = (fields, signal) => get(query(`${V1}/overview`, fields), signal);
export const functions = (signal) => get(`${V1}/functions`, signal);
export const describe = (name, signal) => get(V1 + path`/functions/${name}`, signal);
export const difference = (name, from, to, signal) => get(V1 + path`/functions/${name}/revisions/${`${from}..${to}`}`, signal);
export const stats = (fields, signal) => get(query(`${V1}/stats`, fields), signal);

/** Run a function on an event, given as JSON text; async when `isAsync`. */
export const invoke = (name, event, { isAsync, signal }) =>
  ask(V1 + path`/functions/${name}/invocations`, {
    method: "POST",
    body: event,
    headers: { "Content-Type": "application/json", "Faas-Invocation-Type": isAsync ? "async" : "sync" },
    signal,
  });

export const records = (fields, signal) => get(query(`${V1}/invocations`, fields), signal);
export const invocation = (id, signal) => get(V1 + path`/invocations/${id}`, signal);
export const invocationsOf = (name, limit, signal) =>
  get(query(V1 + path`/functions/${name}/invocations`, { limit }), signal);
export const cancel = (id) => post(V1 + path`/invocations/${id}/cancel`);
export const runNow = (id) => post(V1 + path`/invocations/${id}/retry`);

export const trace = (id, signal) => get(V1 + path`/traces/${id}`, signal);
export const traces = (fields, signal) => get(query(`${V1}/traces`, fields), signal);

export const deadLetters = (fields, signal) => get(query(`${V1}/dead-letters`, fields), signal);
export const deadLetter = (id, signal) => get(V1 + path`/dead-letters/${id}`, signal);
export const retryDead = (id) => post(V1 + path`/dead-letters/${id}/retry`);
export const dropDead = (id) => remove(V1 + path`/dead-letters/${id}`);
export const undelivered = (fields, signal) => get(query(`${V1}/undelivered`, fields), signal);
export const undeliveredOne = (id, signal) => get(V1 + path`/undelivered/${id}`, signal);
export const retryUndelivered = (id) => post(V1 + path`/undelivered/${id}/retry`);
export const dropUndelivered = (id) => remove(V1 + path`/undelivered/${id}`);

export const logs = (fields, signal) => get(query(`${V1}/logs`, fields), signal);
export const bill = (fields, signal) => get(query(`${V1}/bill`, fields), signal);
export const budgets = (signal) => get(`${V1}/budgets`, signal);
export const liftBudget = (name) => post(V1 + path`/budgets/${name}/lift`);

export const alarms = (signal) => get(`${V1}/alarms`, signal);
export const firing = (signal) => get(query(`${V1}/alarms`, { state: "firing", limit: 1 }), signal);
export const alarmHistory = (name, signal) => get(V1 + path`/alarms/${name}/history`, signal);
export const silence = (name, forMs) => post(V1 + path`/alarms/${name}/silence`, { for_ms: forMs });
export const unsilence = (name) => remove(V1 + path`/alarms/${name}/silence`);
export const testAlarm = (name) => post(V1 + path`/alarms/${name}/test`);

export const kept = (signal) => get(`${V1}/kept`, signal);
export const keep = (kind, keepMs, name) =>
  ask(V1 + path`/kept/${kind}`, {
    method: "PUT",
    body: JSON.stringify({ keep_ms: keepMs, function: name || null }),
    headers: { "Content-Type": "application/json" },
  });

/** Of functions at work alone: a page asks every few seconds, however many others there are. */
export const status = (signal) => get(query(`${V1}/status`, { at_work: "true" }), signal);
export const health = (isThorough, signal) => get(query(`${V1}/health`, { thorough: isThorough ? "true" : "" }), signal);

export const buckets = (signal) => get("/buckets", signal);
export const objects = (bucket, fields, signal) => get(query(path`/buckets/${bucket}`, fields), signal);
export const objectAddress = (bucket, key) =>
  path`/buckets/${bucket}/` + key.split("/").map(encodeURIComponent).join("/");
export const removeObject = (bucket, key) => remove(objectAddress(bucket, key));
