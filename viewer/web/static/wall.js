/** The wall: as many cameras as fit the screen, as large as they fit. */

import { element, write } from './dom.js';
import { fitGrid } from './fit.js';
import { readPlace, wallAddress } from './router.js';
import { TileList } from './tile_list.js';

/** @import {App, View} from './main.js' */
/** @import {Drawn} from './types.js' */

/* CSS pixels; gaps and captions are those of the style sheets. */
const GAP = 10;
const SMALL_GAP = 8;
const CAPTION = 30;
const DENSE_CAPTION = 24;
const TWO_LINES = 46;
const SMALL_SCREEN = 736;
const DENSE = 250;
const MIN_WIDTH = 146;
const USUAL_WIDTH = 200;
const USUAL_ASPECT = 16 / 9;

/** Where the wall was scrolled to, and which camera was left, for who comes back. */
const left = { scroll: 0, camera: '' };

/** @implements {View} */
export class Wall {
  title = 'Wall';

  /** @param {App} app */
  constructor(app) {
    this._app = app;
    this._list = new TileList(app);
    this._chips = element('nav', { class: 'chips', 'aria-label': 'Groups' });
    this._empty = element('p', { class: 'empty', hidden: true });
    this.element = element('section', { class: 'wall' }, this._chips, this._empty, this._list.element);
    /** @type {string[]} */
    this._cameras = [];
    this._aspect = USUAL_ASPECT;
    this._picture = { width: 0, height: 0 };
    this._sizes = new ResizeObserver(() => this._fit());
  }

  open() {
    this._list.open();
    this.camerasChanged();
    this._sizes.observe(document.documentElement);
    this._app.engine.show(() => this._watched());
    scrollTo(0, left.scroll);
    this._list.place();
    this._list.focus(left.camera);
  }

  close() {
    left.scroll = scrollY;
    left.camera = this._list.focused;
    this._sizes.disconnect();
    this._list.close();
  }

  /** The cameras or the choice of them changed. */
  camerasChanged() {
    this._cameras = this._chosen();
    this._showChips();
    this._showEmpty();
    this._fit();
  }

  refresh() {
    const { situation } = this._app.store;
    for (const tile of this._list.tiles) tile.refresh(situation);
    this._setAspect();
    if (!this._cameras.length) this._showEmpty();
    // Who is offline changes without a change of the list.
    if (readPlace(location.hash).query.get('show') && `${this._chosen()}` !== `${this._cameras}`) {
      this.camerasChanged();
    }
  }

  /** @param {Drawn[]} pictures */
  drawn(pictures) {
    const { situation } = this._app.store;
    const first = pictures
      .map(({ camera }) => this._list.get(camera))
      .filter((tile) => tile?.place.classList.contains('blank'));
    for (const tile of first) tile?.refresh(situation);
    if (first.length) this._setAspect();
  }

  spoken() {
    return this._list.spoken();
  }

  /** @returns {string[]} The cameras that are asked for, in order. */
  _chosen() {
    const { store } = this._app;
    const { query } = readPlace(location.hash);
    const words = (query.get('find') ?? '').toLowerCase();
    const group = query.get('group');
    const members = group ? new Set(store.me.groups?.[group] ?? []) : null;
    const state = query.get('show');
    return store.sorted.filter(
      (id) =>
        id.toLowerCase().includes(words) &&
        (!members || members.has(id)) &&
        (!state || store.cameras.get(id)?.state === state),
    );
  }

  _watched() {
    const { width, height } = this._picture;
    const watched = this._list.tiles.map((tile) => tile.watched(width, height));
    return watched.filter((tile) => tile !== null);
  }

  /** Most pictures' shape is that of the tiles. */
  _setAspect() {
    const aspect = this._commonAspect();
    if (Math.abs(aspect / this._aspect - 1) < 0.02) return;
    this._aspect = aspect;
    this._fit();
  }

  _fit() {
    const { width, top } = this._list.element.getBoundingClientRect();
    const small = width < SMALL_SCREEN;
    const room = {
      width,
      height: innerHeight - top - scrollY - 2 * GAP,
      gap: small ? SMALL_GAP : GAP,
      caption: small ? TWO_LINES : CAPTION,
      aspect: this._aspect,
      minWidth: MIN_WIDTH,
      usualWidth: small ? MIN_WIDTH : USUAL_WIDTH,
    };
    const usual = fitGrid(this._cameras.length, room);
    if (usual.tile >= DENSE) this._setGrid(usual, { ...room, caption: CAPTION }, '');
    else if (small) this._setGrid(usual, room, 'small');
    else {
      const dense = { ...room, caption: DENSE_CAPTION };
      this._setGrid(fitGrid(this._cameras.length, dense), dense, 'dense');
    }
  }

  /**
   * @param {{columns: number, tile: number}} grid
   * @param {import('./fit.js').Room} room
   * @param {'' | 'small' | 'dense'} kind How the style sheet shows captions.
   */
  _setGrid({ columns, tile }, { width, gap, caption }, kind) {
    const { style } = this._list.element;
    const high = Math.round(tile / this._aspect);
    const inset = Math.floor((width - columns * tile - (columns - 1) * gap) / 2);
    this.element.style.setProperty('--inset', `${Math.max(0, inset)}px`);
    style.setProperty('--columns', String(columns));
    style.setProperty('--tile', `${tile}px`);
    style.setProperty('--picture', `${high}px`);
    this._list.element.className = `tiles ${kind}`;
    this._picture = {
      width: Math.round(tile * devicePixelRatio),
      height: Math.round(high * devicePixelRatio),
    };
    this._list.show(this._cameras, { columns, row: high + caption + gap });
  }

  /** Width / height that most pictures have. */
  _commonAspect() {
    /** @type {Map<number, number>} */
    const votes = new Map();
    for (const { camera } of this._list.tiles) {
      const picture = this._app.store.pictures.get(camera);
      if (!picture) continue;
      const aspect = Math.round((100 * picture.width) / picture.height) / 100;
      votes.set(aspect, (votes.get(aspect) ?? 0) + 1);
    }
    const [first] = [...votes].sort(([, one], [, other]) => other - one);
    return first ? Math.min(2, Math.max(1, first[0])) : this._aspect;
  }

  _showChips() {
    const groups = Object.entries(this._app.store.me.groups ?? {});
    const { query } = readPlace(location.hash);
    const chosen = query.get('group') ?? '';
    const find = query.get('find') ?? '';
    const chips = [['All', ''], ...groups.map(([name]) => [name, name])].map(([text, group]) =>
      element('a', {
        text,
        href: wallAddress({ group, find }),
        'aria-current': group === chosen && 'true',
      }),
    );
    this._chips.hidden = !groups.length;
    this._chips.replaceChildren(...chips);
  }

  _showEmpty() {
    const { store } = this._app;
    this._empty.hidden = this._cameras.length > 0;
    const none = store.told
      ? 'No camera has a result yet. It appears here with the first one that a worker stores.'
      : 'Looking for cameras.';
    const away = 'Cameras appear once Redis is back.';
    write(this._empty, store.cameras.size ? 'No camera matches.' : store.redis === 'away' ? away : none);
  }
}
