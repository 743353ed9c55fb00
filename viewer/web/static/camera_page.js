/** One camera, large: what was found in it, what of it is drawn, its last hour, its results. */

import { chosenLook, keepLook } from './choices.js';
import { element, icon, write } from './dom.js';
import { FactList } from './fact_list.js';
import { fitted } from './fit.js';
import { HistoryStrip } from './history_strip.js';
import { LookPanel } from './look_panel.js';
import { ResultsTable } from './results_table.js';
import { cameraAddress } from './router.js';
import { openStill } from './still_dialog.js';
import { cameraWords, countWords } from './words.js';

/** @import {App, View} from './main.js' */
/** @import {Drawn, Look} from './types.js' */

/** Looks of cameras whose page was open before: their classes are a camera's own. */
/** @type {Map<string, string[]>} */
const hiddenClasses = new Map();

/** @implements {View} */
export class CameraPage {
  /**
   * @param {App} app
   * @param {string} camera
   */
  constructor(app, camera) {
    this._app = app;
    this._camera = camera;
    this.title = camera;
    this._paused = false;
    this._openMs = app.store.nowMs;
    /** Of the camera's frames; a guess until one comes. */
    this._frame = { width: 1280, height: 720 };
    /** @type {Look} */
    this._look = { ...chosenLook(), hidden: hiddenClasses.get(camera) ?? [] };
    this._canvas = element('canvas', { width: 16, height: 9, role: 'img', 'aria-label': camera });
    this._stage = element('div', { class: 'stage' }, this._canvas);
    this._state = element('span', { class: 'state' });
    this._hold = this._button('pause', 'Hold', () => this._pause(!this._paused));
    this._panel = new LookPanel(this._look, () => this._lookChanged());
    this._facts = new FactList(app.store);
    this._history = new HistoryStrip(camera, app.store);
    this._results = new ResultsTable(camera, app.store);
    this._sizes = new ResizeObserver(() => app.engine.ask());
    this._before = element('a', { class: 'tool' }, icon('back'));
    this._after = element('a', { class: 'tool' }, icon('next'));
    this.element = this._page();
  }

  open() {
    const { engine } = this._app;
    this._surface = engine.add(this._camera, this._canvas, true);
    engine.look(this._surface, this._look);
    engine.show(() => this._watched());
    this._sizes.observe(this._stage);
    this._history.open();
    this._results.open();
    this.camerasChanged();
    this.refresh();
  }

  close() {
    this._sizes.disconnect();
    this._history.close();
    this._results.close();
    if (this._surface !== undefined) this._app.engine.drop(this._surface);
  }

  camerasChanged() {
    const { store } = this._app;
    const unknown = store.told && !store.cameras.has(this._camera);
    this.element.classList.toggle('unknown', unknown);
    const [before, after] = this._neighbours();
    this._before.href = cameraAddress(before);
    this._after.href = cameraAddress(after);
    const alone = before === this._camera;
    this._before.hidden = alone;
    this._after.hidden = alone;
    this._before.setAttribute('aria-label', `Camera before: ${before}`);
    this._after.setAttribute('aria-label', `Next camera: ${after}`);
  }

  refresh() {
    const { store } = this._app;
    const camera = store.cameras.get(this._camera);
    if (!camera) {
      write(this._state, store.told ? 'No camera of this name is here' : '');
      return;
    }
    const picture = store.pictures.get(this._camera);
    const words = cameraWords(camera, picture, store.situation, this._openMs);
    this.element.dataset.level = this._paused ? 'held' : words.level;
    const age = words.detail && `${words.text}, picture ${words.detail} old`;
    const held = picture && `Held at ${store.clock.format(picture.capturedMs)}`;
    write(this._state, (this._paused && held) || age || words.text);
    this._canvas.setAttribute('aria-label', this.spoken());
  }

  /** @param {Drawn[]} pictures */
  drawn(pictures) {
    const picture = pictures.findLast(({ camera }) => camera === this._camera);
    if (!picture?.result) return;
    this._stage.dataset.sequence = String(picture.sequence);
    this._setFrame(picture);
    this._panel.show(picture.result);
    this._facts.show(picture.result);
    if (this.element.dataset.level !== 'live') this.refresh();
  }

  spoken() {
    const { store } = this._app;
    const camera = store.cameras.get(this._camera);
    const picture = store.pictures.get(this._camera);
    if (!camera || (!picture && camera.state === 'live')) return '';
    const words = cameraWords(camera, picture, store.situation, this._openMs);
    const found = picture ? countWords(picture.counts) : 'no picture yet';
    return `${this._camera}: ${found}. ${words.text}`;
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} Whether the key meant something here.
   */
  key({ key }) {
    const [before, after] = this._neighbours();
    /** @type {Record<string, () => void>} */
    const keys = {
      Escape: () => (location.hash = '#/'),
      ArrowLeft: () => (location.hash = cameraAddress(before)),
      ArrowRight: () => (location.hash = cameraAddress(after)),
      ' ': () => this._pause(!this._paused),
      m: () => this._panel.toggle('masks'),
      l: () => this._panel.toggle('labels'),
      t: () => this._panel.toggle('trails'),
      f: () => this._fullScreen(),
    };
    const action = keys[key.length === 1 ? key.toLowerCase() : key];
    action?.();
    return action !== undefined;
  }

  _page() {
    const head = element(
      'header',
      { class: 'head' },
      element('a', { class: 'tool', href: '#/', 'aria-label': 'Back to the wall' }, icon('wall')),
      element('h1', { text: this._camera }),
      this._state,
      element('div', { class: 'neighbours' }, this._before, this._after),
    );
    const tools = element(
      'div',
      { class: 'tools' },
      this._hold,
      this._button('still', 'Full-size still', () => void openStill(this._camera)),
      this._button('full', 'Full screen', () => this._fullScreen()),
    );
    const side = element(
      'aside',
      { class: 'side', 'aria-label': 'What is drawn' },
      tools,
      this._panel.element,
      this._facts.element,
    );
    const below = element('div', { class: 'below' }, this._history.element, this._results.element);
    return element('section', { class: 'camera' }, head, this._stage, side, below);
  }

  /**
   * @param {string} name
   * @param {string} text
   * @param {() => void} action
   */
  _button(name, text, action) {
    const label = element('span', { text });
    return element('button', { class: 'button', type: 'button', onclick: action }, icon(name), label);
  }

  _neighbours() {
    const { sorted } = this._app.store;
    const here = sorted.indexOf(this._camera);
    if (here < 0) return [this._camera, this._camera];
    const at = (/** @type {number} */ place) => sorted[(place + sorted.length) % sorted.length];
    return [at(here - 1), at(here + 1)];
  }

  /** @param {import('./fit.js').Size} size */
  _setFrame({ width, height }) {
    if (this._frame.width === width && this._frame.height === height) return;
    this._frame = { width, height };
    this._stage.style.setProperty('--aspect', String(width / height));
    this._app.engine.ask();
  }

  _watched() {
    if (this._surface === undefined || this._stage.clientWidth === 0) return [];
    const { clientWidth, clientHeight } = this._stage;
    const { width, height } = fitted(this._frame, {
      width: clientWidth * devicePixelRatio,
      height: clientHeight * devicePixelRatio,
    });
    return [{ surface: this._surface, camera: this._camera, width, height, ratio: devicePixelRatio }];
  }

  /** @param {boolean} paused */
  _pause(paused) {
    if (this._surface === undefined) return;
    this._paused = paused;
    this._app.engine.pause(this._surface, paused);
    const [name, text] = paused ? ['play', 'Go on'] : ['pause', 'Hold'];
    this._hold.replaceChildren(icon(name), element('span', { text }));
    this.refresh();
  }

  _lookChanged() {
    hiddenClasses.set(this._camera, this._look.hidden);
    keepLook(this._look);
    if (this._surface !== undefined) this._app.engine.look(this._surface, this._look);
  }

  _fullScreen() {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void this._stage.requestFullscreen?.();
  }
}
