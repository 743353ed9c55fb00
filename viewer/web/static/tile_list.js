/** The tiles of a wall: those near the screen alone, however many cameras there are. */

import { element } from './dom.js';
import { rowsNear } from './fit.js';
import { Tile } from './tile.js';

/** @import {App} from './main.js' */

/** How far beyond the screen there are tiles, in screens. */
const MARGIN = 0.4;

/** Holds the list; who shows it says which cameras, and how the grid is. */
export class TileList {
  /** @param {App} app */
  constructor(app) {
    this._app = app;
    /** @type {string[]} */
    this._cameras = [];
    this._grid = { columns: 1, row: 1 };
    /** @type {Map<string, Tile>} */
    this._tiles = new Map();
    this._due = false;
    /** The camera whose tile had the focus last. */
    this.focused = '';
    this.element = element('ul', { class: 'tiles', 'aria-label': 'Cameras' });
    this._seen = new IntersectionObserver((entries) => this._see(entries));
    this._scrolled = () => this._soon();
    this.element.addEventListener('keydown', (event) => this._key(event));
    this.element.addEventListener('focusin', ({ target }) => {
      this.focused = this._at(/** @type {Element} */ (target))?.camera ?? this.focused;
    });
  }

  /** The tiles that are near the screen. */
  get tiles() {
    return [...this._tiles.values()];
  }

  /** @param {string} camera */
  get(camera) {
    return this._tiles.get(camera);
  }

  open() {
    addEventListener('scroll', this._scrolled, { passive: true });
  }

  close() {
    removeEventListener('scroll', this._scrolled);
    this._seen.disconnect();
    for (const tile of this.tiles) tile.unmount();
    this._tiles.clear();
  }

  /**
   * Show these cameras, in this order.
   * @param {string[]} cameras
   * @param {{columns: number, row: number}} grid `row`: from row to row, in CSS pixels.
   */
  show(cameras, grid) {
    this._cameras = cameras;
    this._grid = grid;
    this.place();
  }

  /** Make the tiles that have come near, drop those that are far. */
  place() {
    const { columns, row } = this._grid;
    const rows = Math.ceil(this._cameras.length / columns);
    const { top } = this.element.getBoundingClientRect();
    const { first, last } = rowsNear(-top, innerHeight, MARGIN, row, rows);
    const near = this._cameras.slice(first * columns, last * columns);
    const wanted = new Set(near);
    for (const tile of this.tiles) if (!wanted.has(tile.camera)) this._remove(tile);
    this.element.style.paddingTop = `${first * row}px`;
    this.element.style.paddingBottom = `${Math.max(0, rows - last) * row}px`;
    let next = this.element.firstElementChild;
    near.forEach((camera, number) => {
      const tile = this._tiles.get(camera) ?? this._make(camera);
      tile.number(first * columns + number + 1, this._cameras.length);
      // What stands in its place already is left there, with the focus that it may have.
      if (tile.place === next) next = next.nextElementSibling;
      else this.element.insertBefore(tile.place, next);
    });
    this._app.engine.ask();
  }

  _soon() {
    if (this._due) return;
    this._due = true;
    requestAnimationFrame(() => {
      this._due = false;
      this.place();
    });
  }

  /** @param {string} camera */
  _make(camera) {
    const tile = new Tile(camera, this._app.store, this._app.engine);
    this._tiles.set(camera, tile);
    tile.mount();
    this._seen.observe(tile.place);
    return tile;
  }

  /** @param {Tile} tile */
  _remove(tile) {
    this._seen.unobserve(tile.place);
    tile.unmount();
    tile.place.remove();
    this._tiles.delete(tile.camera);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  _see(entries) {
    for (const { target, isIntersecting } of entries) this._at(target)?.see(isIntersecting);
    this._app.engine.ask();
  }

  /**
   * Arrows go from tile to tile, Home and End to the ends.
   * @param {KeyboardEvent} event
   */
  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !document.activeElement) return;
    const here = this._cameras.indexOf(this._at(document.activeElement)?.camera ?? '');
    /** @type {Record<string, number>} */
    const ways = {
      ArrowLeft: here - 1,
      ArrowRight: here + 1,
      ArrowUp: here - this._grid.columns,
      ArrowDown: here + this._grid.columns,
      Home: 0,
      End: this._cameras.length - 1,
    };
    const camera = this._cameras[ways[event.key]];
    if (here < 0 || camera === undefined) return;
    event.preventDefault();
    this.focus(camera);
  }

  /**
   * Bring a camera's tile onto the screen and give it the focus.
   * @param {string} camera
   */
  focus(camera) {
    const place = this._cameras.indexOf(camera);
    if (place < 0) return;
    if (!this._tiles.has(camera)) {
      const { top } = this.element.getBoundingClientRect();
      const { columns, row } = this._grid;
      scrollTo(0, scrollY + top + Math.floor(place / columns) * row - innerHeight / 2);
      this.place();
    }
    const tile = this._tiles.get(camera);
    tile?.place.scrollIntoView({ block: 'nearest' });
    tile?.link?.focus({ preventScroll: true });
  }

  /** What a screen reader hears of the tile that has the focus. */
  spoken() {
    return (document.activeElement && this._at(document.activeElement)?.summary) || '';
  }

  /** @param {Element} inside */
  _at(inside) {
    const place = /** @type {HTMLElement | null} */ (inside.closest('.tile'));
    return this._tiles.get(place?.dataset.camera ?? '');
  }
}
