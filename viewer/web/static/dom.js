/** Making elements, without markup in strings. */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, string | number | boolean | ((event: any) => void)>} [options] Attributes; `on...` are listeners, `text` is its text.
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (typeof value === 'function') made.addEventListener(key.slice(2), value);
    else if (key === 'text') made.textContent = String(value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false) made.setAttribute(key, String(value));
  }
  made.append(...children.filter((child) => child instanceof Node || typeof child === 'string'));
  return made;
}

/**
 * Make an element of a drawing.
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children.filter((child) => child instanceof Node || typeof child === 'string'));
  return made;
}

/**
 * Make one of the icons that the page holds.
 * @param {string} name
 */
export function icon(name) {
  return drawing(
    'svg',
    { class: 'icon', 'aria-hidden': 'true', viewBox: '0 0 16 16' },
    drawing('use', { href: `#icon-${name}` }),
  );
}

/**
 * Write a text where it differs, so that nothing is laid out anew for the same words.
 * @param {Node} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Find an element that the page is known to have.
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
}
