// Makes and updates elements. In: names, properties and children, whose texts may come from anybody. Out: nodes. Never
// here: text that is read as HTML, an inline style or an inline handler; the page's content security policy refuses all three.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "rect", "line", "text", "g", "title"]);
/** What is a property and not an attribute, and follows the new tree when an element is updated. */
const LIVE = ["checked", "indeterminate", "disabled", "onclick", "onchange", "oninput", "onsubmit"];

/**
 * Makes an element. Properties that begin with `on` are handlers; `true` sets an attribute, and `false`, `null` and
 * `undefined` leave it out, as they do among the children.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...any} children nodes, texts, numbers, lists of them
 * @returns {any}
 */
export function h(tag, properties = {}, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) {
      if (typeof value === "function") element[name] = value;
    } else if (name === "value" || name === "checked" || name === "indeterminate") {
      element[name] = value;
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  const present = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...present.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/**
 * Makes a tree like another one, touching only what differs: focus, selection, scrolling and half-typed text stay.
 * Elements with different `data-key` are never taken for each other.
 * @param {any} from
 * @param {any} to
 */
export function morph(from, to) {
  if (from.nodeName !== to.nodeName || from.dataset?.key !== to.dataset?.key) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes]) {
    // Who opened something keeps it open.
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const name of LIVE) {
    if (name in to && from[name] !== to[name]) from[name] = to[name];
  }
  const [before, after] = [[...from.childNodes], [...to.childNodes]];
  after.forEach((node, index) => (before[index] ? morph(before[index], node) : from.append(node)));
  for (const node of before.slice(after.length)) node.remove();
}
