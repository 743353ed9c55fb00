/** The wall: as many cameras as fit the screen, as large as they fit. */

import { element, write } from './dom.js';
import { fitGrid } from './fit.js';
import { readPlace, wallAddress } from './router.js';
import { Tile } from './tile.js';

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
    /** @type {Map<string, Tile>} */
    this._tiles = new Map();
    /** @type {Map<Element, Tile>} */
    this._byPlace = new Map();
    this._list = element('ul', { class: 'tiles', 'aria-label': 'Cameras' });
    this._chips = element('nav', { class: 'chips', 'aria-label': 'Groups' });
    this._empty = element('p', { class: 'empty', hidden: true });
    this.element = element('section', { class: 'wall' }, this._chips, this._empty, this._list);
    this._aspect = USUAL_ASPECT;
    this._picture = { width: 0, height: 0 };
    this._near = new IntersectionObserver((entries) => this._come(entries), { rootMargin: '40% 0px' });
    this._seen = new IntersectionObserver((entries) => this._see(entries));
    this._sizes = new ResizeObserver(() => this._fit());
    this._list.addEventListener('keydown', (event) => this._key(event));
    this._list.addEventListener('focusin', (event) => this._focused(event));
  }

  open() {
    this.camerasChanged();
    this._sizes.observe(document.documentElement);
    this._app.engine.show(() => this._watched());
    scrollTo(0, left.scroll);
    const tile = this._tiles.get(left.camera);
    tile?.mount();
    tile?.link?.focus({ preventScroll: true });
  }

  close() {
    left.scroll = scrollY;
    for (const observer of [this._near, this._seen, this._sizes]) observer.disconnect();
    for (const tile of this._tiles.values()) tile.unmount();
  }

  /** The cameras or the choice of them changed. */
  camerasChanged() {
    const chosen = this._chosen();
    for (const [camera, tile] of this._tiles) {
      if (!chosen.has(camera)) this._remove(camera, tile);
    }
    const places = [...chosen].map((camera) => this._tile(camera).place);
    // Moving what stands in its place already would lose the focus.
    places.forEach((place, number) => {
      if (this._list.children[number] !== place) {
        this._list.insertBefore(place, this._list.children[number] ?? null);
      }
    });
    this._showChips();
    this._showEmpty(chosen.size);
    this._fit();
  }

  refresh() {
    const { situation } = this._app.store;
    for (const tile of this._tiles.values()) tile.refresh(situation);
    if (readPlace(location.hash).query.get('show')) this._updateChoice();
  }

  /** @param {Drawn[]} pictures */
  drawn(pictures) {
    const { situation } = this._app.store;
    for (const { camera } of pictures) {
      const tile = this._tiles.get(camera);
      if (tile?.place.classList.contains('blank')) tile.refresh(situation);
    }
    const aspect = this._commonAspect();
    if (Math.abs(aspect / this._aspect - 1) < 0.02) return;
    this._aspect = aspect;
    this._fit();
  }

  /** @returns {Set<string>} The cameras that are asked for, in order. */
  _chosen() {
    const { store } = this._app;
    const { query } = readPlace(location.hash);
    const words = (query.get('find') ?? '').toLowerCase();
    const group = query.get('group');
    const members = group ? new Set(store.me.groups?.[group] ?? []) : null;
    const state = query.get('show');
    return new Set(
      store.sorted.filter(
        (id) =>
          id.toLowerCase().includes(words) &&
          (!members || members.has(id)) &&
          (!state || store.cameras.get(id)?.state === state),
      ),
    );
  }

  _updateChoice() {
    const chosen = this._chosen();
    if (chosen.size !== this._tiles.size || [...chosen].some((id) => !this._tiles.has(id))) {
      this.camerasChanged();
    }
  }

  /** @param {string} camera */
  _tile(camera) {
    const known = this._tiles.get(camera);
    if (known) return known;
    const tile = new Tile(camera, this._app.store, this._app.engine);
    this._tiles.set(camera, tile);
    this._byPlace.set(tile.place, tile);
    this._near.observe(tile.place);
    this._seen.observe(tile.place);
    return tile;
  }

  /**
   * @param {string} camera
   * @param {Tile} tile
   */
  _remove(camera, tile) {
    this._near.unobserve(tile.place);
    this._seen.unobserve(tile.place);
    tile.unmount();
    tile.place.remove();
    this._tiles.delete(camera);
    this._byPlace.delete(tile.place);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  _come(entries) {
    for (const { target, isIntersecting } of entries) {
      const tile = this._byPlace.get(target);
      if (isIntersecting) tile?.mount();
      else tile?.unmount();
    }
    this._app.engine.ask();
  }

  /** @param {IntersectionObserverEntry[]} entries */
  _see(entries) {
    for (const { target, isIntersecting } of entries) {
      const tile = this._byPlace.get(target);
      tile?.see(isIntersecting);
    }
    this._app.engine.ask();
  }

  _watched() {
    const { width, height } = this._picture;
    const watched = [...this._tiles.values()].map((tile) => tile.watched(width, height));
    return watched.filter((tile) => tile !== null);
  }

  _fit() {
    const { width, top } = this._list.getBoundingClientRect();
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
    let { columns, tile } = fitGrid(this._tiles.size, room);
    const dense = !small && tile < DENSE;
    if (dense) ({ columns, tile } = fitGrid(this._tiles.size, { ...room, caption: DENSE_CAPTION }));
    const high = Math.round(tile / this._aspect);
    const inset = (width - columns * tile - (columns - 1) * room.gap) / 2;
    this.element.style.setProperty('--inset', `${Math.max(0, Math.floor(inset))}px`);
    this._list.style.setProperty('--columns', String(columns));
    this._list.style.setProperty('--tile', `${tile}px`);
    this._list.style.setProperty('--picture', `${high}px`);
    this._list.classList.toggle('small', small && tile < DENSE);
    this._list.classList.toggle('dense', dense);
    this._picture = {
      width: Math.round(tile * devicePixelRatio),
      height: Math.round(high * devicePixelRatio),
    };
    this._app.engine.ask();
  }

  /** Width / height that most pictures have. */
  _commonAspect() {
    /** @type {Map<number, number>} */
    const votes = new Map();
    for (const id of this._tiles.keys()) {
      const picture = this._app.store.pictures.get(id);
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

  /** @param {number} shown */
  _showEmpty(shown) {
    const { store } = this._app;
    this._empty.hidden = shown > 0;
    const none = store.told
      ? 'No camera has a result yet. It appears here with the first one that a worker stores.'
      : 'Looking for cameras';
    write(this._empty, store.cameras.size ? 'No camera matches.' : none);
  }

  /** @param {FocusEvent} event */
  _focused({ target }) {
    const place = /** @type {Element} */ (target).closest('.tile');
    const tile = place && this._byPlace.get(place);
    if (tile) left.camera = tile.camera;
  }

  /**
   * Arrows go from tile to tile, Home and End to the ends.
   * @param {KeyboardEvent} event
   */
  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const places = [...this._list.children];
    const here = places.findIndex((place) => place.contains(document.activeElement));
    const columns = Number(this._list.style.getPropertyValue('--columns'));
    /** @type {Record<string, number>} */
    const ways = {
      ArrowLeft: here - 1,
      ArrowRight: here + 1,
      ArrowUp: here - columns,
      ArrowDown: here + columns,
      Home: 0,
      End: places.length - 1,
    };
    const tile = this._byPlace.get(places[ways[event.key]]);
    if (here < 0 || !tile) return;
    event.preventDefault();
    tile.place.scrollIntoView({ block: 'nearest' });
    tile.mount();
    tile.link?.focus();
  }

  /** What a screen reader hears of the tile that has the focus. */
  spoken() {
    const place = document.activeElement?.closest('.tile');
    return (place && this._byPlace.get(place)?.summary) || '';
  }
}
