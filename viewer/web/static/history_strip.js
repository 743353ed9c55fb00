/** The last hour of a camera: how many objects of each class, minute by minute. */

import { drawing, element, write } from './dom.js';
import { askJson, RequestError } from './requests.js';

/** @import {Store} from './store.js' */

/**
 * @typedef {object} Minute
 * @property {number} minute Its beginning, seconds since 1970.
 * @property {number} frames
 * @property {Record<string, {mean: number, most: number}>} classes
 */

const EVERY_MS = 15_000;
const MINUTES = 60;
const HEIGHT = 36;
const STEP = 10;

/** Draws one row of bars a class, all to the same scale of time. */
export class HistoryStrip {
  /**
   * @param {string} camera
   * @param {Store} store
   */
  constructor(camera, store) {
    this._address = `api/cameras/${encodeURIComponent(camera)}/history`;
    this._store = store;
    this._rows = element('div', { class: 'rows' });
    this._note = element('p', { class: 'dim', text: 'Asking' });
    this._drawn = '';
    this.element = element(
      'section',
      { class: 'history' },
      element('h2', { text: 'Last hour' }),
      this._note,
      this._rows,
    );
  }

  open() {
    void this._ask();
    this._timer = setInterval(() => void this._ask(), EVERY_MS);
  }

  close() {
    clearInterval(this._timer);
  }

  async _ask() {
    if (document.hidden) return;
    try {
      const { minutes } = await askJson(this._address);
      this._draw(minutes);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      write(this._note, error.message);
    }
  }

  /** @param {Minute[]} minutes */
  _draw(minutes) {
    const classes = [...new Set(minutes.flatMap((each) => Object.keys(each.classes)))].sort();
    write(this._note, classes.length ? '' : 'Nothing was found during the last hour.');
    const last = Math.floor(this._store.nowMs / 60_000);
    const drawn = JSON.stringify([last, minutes]);
    if (drawn === this._drawn) return;
    this._drawn = drawn;
    const rows = classes.map((name) => this._row(name, minutes, last));
    this._rows.replaceChildren(...rows, ...(rows.length ? [this._axis(last)] : []));
  }

  /**
   * @param {string} name
   * @param {Minute[]} minutes
   * @param {number} last Number of the newest minute since 1970.
   */
  _row(name, minutes, last) {
    const most = Math.max(1, ...minutes.map((each) => each.classes[name]?.most ?? 0));
    const peak = minutes.findLast((each) => each.classes[name]?.most === most);
    const frames = minutes.reduce((sum, each) => sum + each.frames, 0);
    const total = minutes.reduce((sum, each) => sum + each.frames * (each.classes[name]?.mean ?? 0), 0);
    const mean = frames ? total / frames : 0;
    const when = peak ? ` at ${this._store.minute.format(peak.minute * 1000)}` : '';
    const text = `${mean.toFixed(1)} on average, ${most} at most${when}`;
    const bars = minutes.flatMap((each) => this._bars(name, each, most, last));
    const chart = drawing(
      'svg',
      {
        viewBox: `0 0 ${MINUTES * STEP} ${HEIGHT}`,
        preserveAspectRatio: 'none',
        role: 'img',
        'aria-label': `${name}, last hour: ${text}`,
      },
      ...bars,
    );
    return element(
      'div',
      { class: 'row' },
      element(
        'div',
        {},
        element('span', { class: 'name', text: name }),
        element('span', { class: 'dim', text: `${mean.toFixed(1)} on average` }),
        element('span', { class: 'dim', text: `${most} at most${when}` }),
      ),
      chart,
    );
  }

  /**
   * @param {string} name
   * @param {Minute} minute
   * @param {number} most
   * @param {number} last
   */
  _bars(name, minute, most, last) {
    const found = minute.classes[name];
    const place = MINUTES - 1 - (last - Math.floor(minute.minute / 60));
    if (!found || place < 0 || place >= MINUTES) return [];
    const bar = (/** @type {string} */ kind, /** @type {number} */ value) => {
      const high = Math.max(0.75, (value / most) * HEIGHT);
      const box = { x: place * STEP + 1, y: HEIGHT - high, width: STEP - 2, height: high };
      return drawing('rect', { class: kind, ...box });
    };
    const when = this._store.minute.format(minute.minute * 1000);
    const told = drawing('title', {}, `${when}: ${found.mean.toFixed(1)} on average, ${found.most} at most`);
    return [drawing('g', {}, told, bar('most', found.most), bar('mean', found.mean))];
  }

  /** @param {number} last */
  _axis(last) {
    const times = [60, 45, 30, 15, 0].map((ago) =>
      element('span', { text: this._store.minute.format((last - ago) * 60_000) }),
    );
    const row = element('div', { class: 'times' }, ...times);
    return element('div', { class: 'axis', 'aria-hidden': 'true' }, row);
  }
}
