/** Making elements, and writing tokens and numbers for people. */

/**
 * An element with attributes, listeners ("onclick": function) and children. `true` sets an attribute without
 * a value; false, null and undefined leave it out.
 */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

let lastId = 0;

/** An id that no other element of the page has. */
export const newId = (what) => `pg-${what}-${++lastId}`;

/** A form control under its label. @param {HTMLElement} control @param {...Node} more behind the control */
export function labelled(text, control, ...more) {
  control.id ||= newId("control");
  return element("div", { class: "pg-field" }, element("label", { for: control.id }, text), control, ...more);
}

/** A token with its blanks, line ends and control characters to be seen. */
export function visible(text) {
  return text
    .replace(/ /g, "␣")
    .replace(/\n/g, "⏎")
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

export const percent = (p) => (p > 0 && p < 0.0005 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);

export const bitsText = (bits) => `${bits.toFixed(1)} bits`;
