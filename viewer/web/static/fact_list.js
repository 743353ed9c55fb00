/** What is known of the picture that stands on the screen. */

import { element, write } from './dom.js';

/** @import {Store} from './store.js' */
/** @import {Result} from './types.js' */

/** A list of names and values. */
export class FactList {
  /** @param {Store} store */
  constructor(store) {
    this._store = store;
    /** @type {Map<string, HTMLElement>} */
    this._values = new Map();
    this._list = element('dl', { class: 'facts' });
    this.element = element(
      'section',
      { class: 'picture-facts' },
      element('h2', { text: 'This picture' }),
      this._list,
    );
  }

  /** @param {Result} result */
  show(result) {
    const captured = new Date(result.captured_at);
    const tenths = Math.floor(captured.getMilliseconds() / 100);
    this._write('Captured', `${this._store.clock.format(captured)}.${tenths}`);
    this._write('Result after', `${Math.round(result.latency_seconds * 1000)} ms`);
    this._write('Frame', String(result.sequence));
    this._write('Size', `${result.width} × ${result.height}`);
    this._write('Model', `${result.model.name} ${result.model.version}`);
    this._write('Zone', this._store.clock.resolvedOptions().timeZone);
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  _write(name, text) {
    let value = this._values.get(name);
    if (!value) {
      value = element('dd');
      this._values.set(name, value);
      this._list.append(element('div', {}, element('dt', { text: name }), value));
    }
    write(value, text);
  }
}
