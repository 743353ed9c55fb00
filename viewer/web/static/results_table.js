/** The last results of a camera, each as the JSON that programs read. */

import { element, write } from './dom.js';
import { askJson, RequestError } from './requests.js';
import { countWords } from './words.js';

/** @import {Store} from './store.js' */
/** @import {Result} from './types.js' */

const COUNT = 20;

/** Asks only while it is unfolded. */
export class ResultsTable {
  /**
   * @param {string} camera
   * @param {Store} store
   */
  constructor(camera, store) {
    this._address = `api/cameras/${encodeURIComponent(camera)}/results?count=${COUNT}`;
    this._store = store;
    this._note = element('p', { class: 'dim' });
    this._rows = element('tbody');
    this._text = element('pre', { tabindex: 0, 'aria-label': 'The chosen result as JSON' });
    const again = element('button', { class: 'button', type: 'button', text: 'Ask again' });
    again.addEventListener('click', () => void this._ask());
    const raw = element('a', { href: this._address, target: '_blank', text: 'All of them as JSON' });
    const titles = ['Captured', 'Frame', 'Found', 'After'].map((text) =>
      element('th', { scope: 'col', text }),
    );
    this._table = element(
      'div',
      { class: 'table', hidden: true },
      element('table', {}, element('thead', {}, element('tr', {}, ...titles)), this._rows),
    );
    this.element = element(
      'details',
      { class: 'results' },
      element('summary', {}, element('h2', { text: 'Last results' })),
      element('p', { class: 'line' }, again, raw),
      this._note,
      element('div', { class: 'pair' }, this._table, this._text),
    );
  }

  open() {
    this.element.addEventListener('toggle', () => {
      if (this.element.open) void this._ask();
    });
  }

  close() {
    this._rows.replaceChildren();
  }

  async _ask() {
    try {
      const { results } = await askJson(this._address);
      this._show(results);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      write(this._note, error.message);
    }
  }

  /** @param {Result[]} results */
  _show(results) {
    write(this._note, results.length ? '' : 'No results are kept of this camera.');
    this._table.hidden = !results.length;
    this._rows.replaceChildren(...results.map((result) => this._row(result)));
    if (results.length) this._choose(results[0], this._rows.children[0]);
    else write(this._text, '');
  }

  /** @param {Result} result */
  _row(result) {
    /** @type {Record<string, number>} */
    const counts = {};
    for (const { class: name } of result.instances) counts[name] = (counts[name] ?? 0) + 1;
    const when = this._store.clock.format(new Date(result.captured_at));
    const choose = element('button', { class: 'plain', type: 'button', text: when });
    const after = `${Math.round(result.latency_seconds * 1000)} ms`;
    const cells = [String(result.sequence), countWords(counts), after];
    const row = element(
      'tr',
      {},
      element('td', {}, choose),
      ...cells.map((text) => element('td', { text })),
    );
    choose.addEventListener('click', () => this._choose(result, row));
    return row;
  }

  /**
   * @param {Result} result
   * @param {Element} row
   */
  _choose(result, row) {
    for (const other of this._rows.children) other.removeAttribute('aria-current');
    row.setAttribute('aria-current', 'true');
    write(this._text, JSON.stringify(result, null, 2));
  }
}
