/** What is drawn over a camera's picture: classes, least score, masks, labels, trails. */

import { element, write } from './dom.js';

/** @import {Look, Result} from './types.js' */
/** @typedef {'masks' | 'labels' | 'trails'} Layer */

/** @type {[Layer, string, string][]} */
const LAYERS = [
  ['masks', 'Masks', 'M'],
  ['labels', 'Labels', 'L'],
  ['trails', 'Trails', 'T'],
];

/** Shows how many objects there are of each class, and lets one choose. */
export class LookPanel {
  /**
   * @param {Look} look Changed in place.
   * @param {() => void} changed
   */
  constructor(look, changed) {
    this._look = look;
    this._changed = changed;
    /** @type {Map<string, {row: HTMLElement, count: HTMLElement}>} */
    this._classes = new Map();
    this._list = element('div', { class: 'classes' });
    this._none = element('p', { class: 'dim', text: 'Nothing found yet' });
    this._value = element('output', { for: 'score' });
    /** @type {Partial<Record<Layer, HTMLInputElement>>} */
    this._boxes = {};
    this.element = element(
      'div',
      { class: 'look' },
      group('Objects', this._none, this._list),
      group('Least score', this._slider()),
      group('Drawn', ...LAYERS.map((layer) => this._layer(...layer))),
    );
  }

  /**
   * Count the objects of a result.
   * @param {Result} result
   */
  show({ instances }) {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { class: name, score } of instances) {
      if (!this._classes.has(name)) this._add(name);
      if (score >= this._look.minScore) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    this._none.hidden = this._classes.size > 0;
    for (const [name, { count }] of this._classes) write(count, String(counts.get(name) ?? 0));
  }

  /** @param {Layer} layer */
  toggle(layer) {
    this._boxes[layer]?.click();
  }

  /** @param {string} name */
  _add(name) {
    const count = element('span', { class: 'count' });
    const box = element('input', { type: 'checkbox', checked: !this._look.hidden.includes(name) });
    box.addEventListener('change', () => {
      const others = this._look.hidden.filter((other) => other !== name);
      this._look.hidden = box.checked ? others : [...others, name];
      this._changed();
    });
    const row = element('label', { class: 'row' }, box, element('span', { text: name }), count);
    this._classes.set(name, { row, count });
    const sorted = [...this._classes].sort(([one], [other]) => (one < other ? -1 : 1));
    this._list.append(...sorted.map(([, { row: each }]) => each));
  }

  _slider() {
    const slider = element('input', {
      id: 'score',
      type: 'range',
      min: 0,
      max: 1,
      step: 0.01,
      value: this._look.minScore,
      'aria-label': 'Least score',
    });
    const show = () => write(this._value, Number(slider.value).toFixed(2));
    slider.addEventListener('input', () => {
      this._look.minScore = Number(slider.value);
      show();
      this._changed();
    });
    show();
    return element('div', { class: 'row' }, slider, this._value);
  }

  /**
   * @param {Layer} layer
   * @param {string} text
   * @param {string} key
   */
  _layer(layer, text, key) {
    const box = element('input', { type: 'checkbox', checked: this._look[layer] });
    box.addEventListener('change', () => {
      this._look[layer] = box.checked;
      this._changed();
    });
    this._boxes[layer] = box;
    const hint = element('kbd', { text: key, 'aria-hidden': 'true' });
    return element('label', { class: 'row' }, box, element('span', { text }), hint);
  }
}

/**
 * @param {string} title
 * @param {...Node} children
 */
function group(title, ...children) {
  return element('fieldset', {}, element('legend', { text: title }), ...children);
}
