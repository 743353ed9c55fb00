/** One camera on the wall: its picture, and the truth about it in words. */

import { element, icon, write } from './dom.js';
import { cameraAddress } from './router.js';
import { cameraWords, countWords } from './words.js';

/** @import {EngineClient} from './engine_client.js' */
/** @import {Store} from './store.js' */
/** @import {Situation} from './words.js' */
/** @import {Tile as WatchedTile} from './types.js' */

/** Lives as long as it is near the screen. */
export class Tile {
  /**
   * @param {string} camera
   * @param {Store} store
   * @param {EngineClient} engine
   */
  constructor(camera, store, engine) {
    this.camera = camera;
    this.place = element('li', { class: 'tile', 'data-camera': camera });
    /** Since when any of it is on the screen; null while none is. @type {number | null} */
    this._seenMs = null;
    this._store = store;
    this._engine = engine;
    /** @type {number | null} */
    this._surface = null;
    this._state = element('span', { class: 'state' });
    this._detail = element('span', { class: 'detail' });
    this._counts = element('span', { class: 'counts' });
    /** Read aloud on request. */
    this.summary = '';
  }

  get link() {
    return this.place.querySelector('a');
  }

  /**
   * Tell screen readers its number among all, of which most are not in the page.
   * @param {number} number
   * @param {number} count
   */
  number(number, count) {
    this.place.setAttribute('aria-posinset', String(number));
    this.place.setAttribute('aria-setsize', String(count));
  }

  /** Take a canvas. */
  mount() {
    if (this._surface !== null) return;
    const canvas = element('canvas', { width: 16, height: 9, 'aria-hidden': 'true' });
    this.place.append(
      element(
        'a',
        { href: cameraAddress(this.camera) },
        element('span', { class: 'picture' }, canvas),
        element(
          'span',
          { class: 'caption' },
          element('span', { class: 'name', text: this.camera, title: this.camera }),
          this._counts,
          element('span', { class: 'words' }, icon('alert'), this._state, this._detail),
        ),
      ),
    );
    this._surface = this._engine.add(this.camera, canvas);
    this.refresh(this._store.situation);
  }

  /** Give the canvas back. */
  unmount() {
    if (this._surface === null) return;
    this._engine.drop(this._surface);
    this._surface = null;
    this._seenMs = null;
    this.place.replaceChildren();
  }

  /** @param {boolean} seen Whether any of it is on the screen. */
  see(seen) {
    if (!seen) this._seenMs = null;
    else this._seenMs ??= this._store.nowMs;
  }

  /**
   * Return what is to be sent for this tile; null while none of it is on the screen.
   * @param {number} width Device pixels.
   * @param {number} height Device pixels.
   * @returns {WatchedTile | null}
   */
  watched(width, height) {
    if (this._surface === null || this._seenMs === null) return null;
    return { surface: this._surface, camera: this.camera, width, height, ratio: devicePixelRatio };
  }

  /**
   * Write what is true now.
   * @param {Situation} situation
   */
  refresh(situation) {
    const camera = this._store.cameras.get(this.camera);
    if (this._surface === null || !camera) return;
    const picture = this._store.pictures.get(this.camera);
    const words = cameraWords(camera, picture, situation, this._seenMs ?? situation.nowMs);
    const counts = picture ? countWords(picture.counts) : 'no picture';
    this.place.dataset.level = words.level;
    this.place.classList.toggle('blank', !picture);
    write(this._state, words.text);
    write(this._detail, words.detail);
    write(this._counts, counts);
    this.summary = [`${this.camera}: ${counts}`, words.text, words.detail].filter(Boolean).join('. ');
  }
}
