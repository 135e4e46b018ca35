/** Pictures of a bucket. Only formats that hold no script are shown; an SVG may hold one. */

import * as calls from "../../calls.js";
import { h } from "../../dom.js";
import * as parts from "../../parts.js";

const PICTURE = /\.(jpe?g|png|gif|webp|avif|bmp)$/i;

/** Whether an object's name says that it is a picture that can be shown. */
export const isPicture = (key) => PICTURE.test(key);

/** A small one. One that cannot be read becomes nothing: the object's name stands beside it. */
export function picture(bucket, key, { large = false } = {}) {
  const image = h(large ? "img.picture.large" : "img.picture", {
    src: calls.objectAddress(bucket, key), alt: "", loading: "lazy", decoding: "async",
  });
  image.addEventListener("error", () => image.classList.add("broken"));
  return image;
}

/** The pictures that a trace is about: what came in, and what came out and set off more. Null when there are none. */
export function pictures(trace, { without } = {}) {
  const named = new Set(trace.invocations.map((each) => each.object).filter((each) => each && each !== without && isPicture(each)));
  return named.size ? h("div.pictures", {}, [...named].map(box)) : null;
}

function box(named) {
  const [bucket, ...rest] = named.split("/");
  return h("figure.picture-box", {}, picture(bucket, rest.join("/"), { large: true }), h("figcaption", {}, parts.objectLink(named)));
}
