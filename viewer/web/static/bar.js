/** The bar above all views: search, how the cameras are, the time, the theme, who is signed in. */

import { chosenTheme, keepTheme } from './choices.js';
import { byId, element, write } from './dom.js';
import { readPlace, wallAddress } from './router.js';
import { laneWords, troubleWords } from './words.js';

/** @import {Place} from './router.js' */
/** @import {Store} from './store.js' */
/** @import {CameraState} from './types.js' */

/** @type {import('./choices.js').Theme[]} */
const THEMES = ['system', 'light', 'dark'];
const TYPING_MS = 150;
/** So many cameras are named in an announcement; more are counted. */
const NAMED = 3;

/** Owns the elements of the bar, which the page's markup has. */
export class BarView {
  /** @param {Store} store */
  constructor(store) {
    this._store = store;
    this._tally = byId('tally');
    this._trouble = byId('trouble');
    this._clock = byId('clock');
    this._find = /** @type {HTMLInputElement} */ (byId('find'));
    this._theme = byId('theme');
    /** @type {Map<string, CameraState>} */
    this._states = new Map();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._typing = undefined;
    this._listen();
    this._showTheme();
    const lane = laneWords(store.me.lane);
    byId('lane').textContent = lane;
    byId('lane').hidden = !lane;
    byId('account').hidden = !store.me.auth;
    byId('account').title = `Signed in as ${store.me.name}`;
    this._clock.title = store.clock.resolvedOptions().timeZone;
  }

  /** @param {Place} place */
  at({ view, query }) {
    for (const link of document.querySelectorAll('[data-view]')) {
      const here = /** @type {HTMLElement} */ (link).dataset.view === view;
      if (here) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    if (document.activeElement !== this._find) this._find.value = query.get('find') ?? '';
    this._showTally(query.get('show') ?? '');
  }

  refresh() {
    const { link, redis, redisReason, nowMs, clock } = this._store;
    const trouble = troubleWords(link, redis, redisReason);
    write(this._trouble, trouble);
    document.body.classList.toggle('troubled', Boolean(trouble));
    write(this._clock, clock.format(nowMs));
    this._showTally(readPlace(location.hash).query.get('show') ?? '');
  }

  /** @returns {string} Which cameras went offline or came back since this was asked last. */
  news() {
    const { cameras, link, redis } = this._store;
    if (link !== 'open' || redis === 'away') return '';
    const changed = [...cameras.values()].filter(({ id, state }) => {
      const before = this._states.get(id);
      this._states.set(id, state);
      return before && before !== state && (state === 'offline' || before === 'offline');
    });
    const off = changed.filter(({ state }) => state === 'offline');
    const on = changed.filter(({ state }) => state !== 'offline');
    return [named(off, 'offline'), named(on, 'live again')].filter(Boolean).join(' ');
  }

  /**
   * @param {string} key
   * @returns {boolean} Whether it meant something here.
   */
  key(key) {
    if (key === '/') this._find.focus();
    else if (key === '?') /** @type {HTMLDialogElement} */ (byId('help')).showModal();
    else return false;
    return true;
  }

  _listen() {
    const search = () => {
      clearTimeout(this._typing);
      const { view, query } = readPlace(location.hash);
      const kept = (/** @type {string} */ key) => (view === 'wall' && query.get(key)) || '';
      const find = this._find.value.trim();
      const address = wallAddress({ group: kept('group'), show: kept('show'), find });
      if (view === 'wall') location.replace(address);
      else location.hash = address;
    };
    this._find.addEventListener('input', () => {
      clearTimeout(this._typing);
      this._typing = setTimeout(search, TYPING_MS);
    });
    this._find.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this._find.blur();
    });
    byId('search').addEventListener('submit', (event) => {
      event.preventDefault();
      search();
      /** @type {HTMLElement | null} */ (document.querySelector('.tile a'))?.focus();
    });
    byId('skip').addEventListener('click', () => byId('main').focus());
    byId('keys').addEventListener('click', () => this.key('?'));
    this._theme.addEventListener('click', () => {
      keepTheme(THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length]);
      this._showTheme();
    });
  }

  _showTheme() {
    const theme = chosenTheme();
    const text = `Theme: ${theme === 'system' ? "the system's" : theme}`;
    this._theme.setAttribute('aria-label', text);
    this._theme.title = text;
  }

  /** @param {string} chosen */
  _showTally(chosen) {
    const counts = { live: 0, offline: 0, waiting: 0 };
    for (const { state } of this._store.cameras.values()) counts[state] += 1;
    const shown = /** @type {CameraState[]} */ (['live', 'offline', 'waiting']).filter(
      (state) => counts[state] || state === 'live' || state === chosen,
    );
    const key = `${chosen} ${shown.map((state) => counts[state]).join(' ')} ${shown}`;
    if (!this._store.told || this._tally.dataset.key === key) return;
    this._tally.dataset.key = key;
    this._tally.replaceChildren(
      ...shown.map((state) =>
        element(
          'a',
          {
            href: wallAddress({ show: state === chosen ? '' : state }),
            'data-state': state,
            'aria-current': state === chosen && 'true',
          },
          element('b', { text: String(counts[state]) }),
          ` ${state}`,
        ),
      ),
    );
  }
}

/**
 * @param {{id: string}[]} cameras
 * @param {string} what
 */
function named(cameras, what) {
  if (!cameras.length) return '';
  if (cameras.length > NAMED) return `${cameras.length} cameras are ${what}.`;
  return `${cameras.map(({ id }) => id).join(', ')} ${cameras.length > 1 ? 'are' : 'is'} ${what}.`;
}
