/** Makes elements. What is put into them is only ever text: nothing in this page reads HTML from data. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `h("td.number", {title: "exact"}, "12")`.
 *
 * `on` holds listeners by event, `style` CSS properties (set one by one, as the page's policy allows no style
 * attributes), `dataset` data attributes. False, null and undefined are left out; children may be nested arrays.
 */
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return filled(document.createElement(tag), classes, props, children);
}

/** The same for drawings. */
export function svg(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return filled(document.createElementNS(SVG, tag), classes, props, children);
}

function filled(element, classes, props, children) {
  if (classes.length) element.classList.add(...classes);
  for (const [name, value] of Object.entries(props ?? {})) give(element, name, value);
  put(element, children);
  return element;
}

function give(element, name, value) {
  if (value === false || value === null || value === undefined) return;
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name === "style") {
    for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
  } else if (name === "dataset") {
    Object.assign(element.dataset, value);
  } else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") {
    element[name] = value;
  } else if (name === "class") {
    element.classList.add(...String(value).split(" ").filter(Boolean));
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Append children to an element: elements, texts, numbers, arrays of them. */
export function put(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Let an element hold these children and no others. */
export function refill(element, ...children) {
  element.replaceChildren();
  return put(element, children);
}
