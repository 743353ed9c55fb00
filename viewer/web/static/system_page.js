/** Workers and producers: what they do, how late they are, what they drop and why. */

import { element, write } from './dom.js';
import { askJson, RequestError } from './requests.js';

/** @import {App, View} from './main.js' */

/**
 * @typedef {object} Source
 * @property {string} address
 * @property {string} kind
 * @property {'ok' | 'away'} state
 * @property {string | null} reason
 * @property {number | null} [fps]
 * @property {number | null} [latency_p50] Seconds.
 * @property {number | null} [latency_p95] Seconds.
 * @property {number | null} [lag_records]
 * @property {number | null} [lag_seconds]
 * @property {string | null} [model]
 * @property {string | null} [provider]
 * @property {string | null} [precision]
 * @property {Record<string, number>} [drops] A second, by reason.
 *
 * @typedef {object} SystemState
 * @property {{state: 'ok' | 'away', reason: string | null}} redis
 * @property {Source[]} sources
 * @property {{live: number, offline: number, waiting?: number}} cameras
 * @property {number | null} processed_fps
 */

const EVERY_MS = 2000;
const COLUMNS = ['Process', 'State', 'fps', 'Latency p50', 'p95', 'Lag', 'Model', 'Left out'];
const WINDOW_MS = 5000;

/** @implements {View} */
export class SystemPage {
  title = 'System';

  /** @param {App} app */
  constructor(app) {
    this._app = app;
    this._figures = element('dl', { class: 'figures' });
    this._note = element('p', { class: 'dim', text: 'Asking' });
    this._rows = element('tbody');
    const titles = COLUMNS.map((text) => element('th', { scope: 'col', text }));
    this._table = element(
      'div',
      { class: 'table', hidden: true, tabindex: 0, role: 'region', 'aria-label': 'Processes' },
      element('table', {}, element('thead', {}, element('tr', {}, ...titles)), this._rows),
    );
    this._page = element('dl', { class: 'figures small' });
    this.element = element(
      'section',
      { class: 'system' },
      element('h1', { text: 'System' }),
      this._figures,
      element('h2', { text: 'Producers and workers' }),
      this._note,
      this._table,
      element('h2', { text: 'This page' }),
      this._page,
    );
  }

  open() {
    this._app.engine.show(() => []);
    void this._ask();
    this._timer = setInterval(() => void this._ask(), EVERY_MS);
    this.refresh();
  }

  close() {
    clearInterval(this._timer);
  }

  camerasChanged() {}

  drawn() {}

  spoken() {
    return '';
  }

  /** What this page itself sees, measured here. */
  refresh() {
    const { store } = this._app;
    const since = Date.now() - WINDOW_MS;
    const recent = store.lately.filter(({ drawnMs }) => drawnMs > since);
    const delays = store.lately.map(({ delayMs }) => delayMs).sort((one, other) => one - other);
    const p95 = delays.length ? delays[Math.floor(0.95 * (delays.length - 1))] : null;
    const link = { open: 'open', opening: 'opening', lost: 'lost', login: 'signed out' };
    this._show(this._page, [
      ['Connection', link[store.link], ''],
      ['Sent to drawn, p95', p95 === null ? '–' : String(Math.round(Math.max(0, p95))), 'ms'],
      ['Pictures now', (recent.length / (WINDOW_MS / 1000)).toFixed(1), 'a second'],
      ['Drawn by', this._app.engine.inWorker ? 'a worker' : 'the page itself', ''],
    ]);
  }

  async _ask() {
    if (document.hidden) return;
    try {
      this._tell(await askJson('api/system'));
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      write(this._note, error.message);
    }
  }

  /** @param {SystemState} state */
  _tell(state) {
    const workers = state.sources.filter(({ kind }) => kind === 'worker');
    const lag = sum(workers.map((each) => each.lag_records));
    const captured = sum(state.sources.filter(({ kind }) => kind === 'producer').map(({ fps }) => fps));
    const late = workers.map((each) => each.latency_p95).filter((each) => typeof each === 'number');
    this._show(this._figures, [
      ['Cameras live', String(state.cameras.live), ''],
      ['Offline', String(state.cameras.offline), ''],
      ['Captured', number(captured), 'fps'],
      ['Processed', number(state.processed_fps), 'fps'],
      ['Latency p95', late.length ? seconds(Math.max(...late)) : '–', ''],
      ['Lag', lag === null ? '–' : String(lag), 'frames'],
      ['Redis', state.redis.state === 'ok' ? 'answers' : 'away', ''],
    ]);
    const none =
      'No addresses of producers and workers are set; what is above is what Redis tells.';
    write(this._note, state.redis.reason ?? (state.sources.length ? '' : none));
    this._table.hidden = !state.sources.length;
    this._rows.replaceChildren(...state.sources.map(row));
  }

  /**
   * @param {HTMLElement} list
   * @param {[string, string, string][]} figures Name, value, unit.
   */
  _show(list, figures) {
    list.replaceChildren(
      ...figures.map(([name, value, unit]) =>
        element(
          'div',
          {},
          element('dt', { text: name }),
          element('dd', {}, value, unit && value !== '–' ? element('small', { text: unit }) : null),
        ),
      ),
    );
  }
}

/** @param {Source} source */
function row(source) {
  const { address, kind, state, reason } = source;
  const cells =
    state === 'ok'
      ? [
          number(source.fps ?? null),
          seconds(source.latency_p50),
          seconds(source.latency_p95),
          lagWords(source),
          [source.model, source.precision, source.provider].filter(Boolean).join(' · ') || '–',
          dropWords(source.drops ?? {}),
        ].map((text) => element('td', { text }))
      : [element('td', { colspan: COLUMNS.length - 2, text: reason ?? '' })];
  return element(
    'tr',
    { 'data-state': state },
    element('th', { scope: 'row' }, address, element('small', { text: kind })),
    element('td', { text: state === 'ok' ? 'answers' : 'away' }),
    ...cells,
  );
}

/** @param {Source} source */
function lagWords({ lag_records: records, lag_seconds: age }) {
  if (records === null || records === undefined) return '–';
  return age ? `${records}, ${seconds(age)}` : String(records);
}

/** @param {Record<string, number>} drops */
function dropWords(drops) {
  const words = Object.entries(drops).filter(([, rate]) => rate >= 0.05);
  return words.map(([reason, rate]) => `${reason} ${rate.toFixed(1)}/s`).join(', ') || 'nothing';
}

/** @param {(number | null | undefined)[]} values */
function sum(values) {
  const known = values.filter((value) => typeof value === 'number');
  return known.length ? known.reduce((total, value) => total + value, 0) : null;
}

/** @param {number | null} value */
function number(value) {
  return value === null ? '–' : value.toFixed(1);
}

/** @param {number | null | undefined} value */
function seconds(value) {
  if (value === null || value === undefined) return '–';
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}
