/** The page: who asks, which view, what is told above all views. */

import { Announcer } from './announcer.js';
import { BarView } from './bar.js';
import { CameraPage } from './camera_page.js';
import { byId, element } from './dom.js';
import { EngineClient } from './engine_client.js';
import { askJson, backFromLogin, RequestError, toLogin } from './requests.js';
import { readPlace } from './router.js';
import { Store } from './store.js';
import { SystemPage } from './system_page.js';
import { Wall } from './wall.js';
import { laneWords } from './words.js';

/** @import {Drawn} from './types.js' */

/**
 * @typedef {object} View
 * @property {string} title
 * @property {HTMLElement} element
 * @property {() => void} open
 * @property {() => void} close
 * @property {() => void} camerasChanged
 * @property {() => void} refresh Once a second, and when something changed.
 * @property {(pictures: Drawn[]) => void} drawn
 * @property {() => string} spoken What a screen reader is told of what is looked at.
 * @property {(event: KeyboardEvent) => boolean} [key]
 */

const SECOND_MS = 1000;
const RETRY_MS = 2000;
const GROUPS_MS = 1000;

/** Holds the parts together. */
export class App {
  /** @param {import('./types.js').Me} me */
  constructor(me) {
    this.store = new Store(me);
    this.engine = new EngineClient((message) => this.store.receive(message));
    this._bar = new BarView(this.store);
    this._announcer = new Announcer(byId('spoken'));
    /** @type {View | null} */
    this._view = null;
    this._shown = '';
    this._due = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._asking = undefined;
  }

  start() {
    const { store } = this;
    store.addEventListener('cameras', () => {
      this._view?.camerasChanged();
      this._askGroups();
    });
    store.addEventListener('state', () => this._soon());
    store.addEventListener('drawn', (event) =>
      this._view?.drawn(/** @type {CustomEvent<Drawn[]>} */ (event).detail),
    );
    setInterval(() => this._soon(), SECOND_MS);
    addEventListener('hashchange', () => this._open());
    document.addEventListener('keydown', (event) => this._key(event));
    this._open();
  }

  _open() {
    const place = readPlace(location.hash);
    const shown = `${place.view}/${place.camera}`;
    this._bar.at(place);
    if (shown === this._shown) {
      this._view?.camerasChanged(); // another part of the wall
      return;
    }
    this._shown = shown;
    this._view?.close();
    if (place.view === 'camera') this._view = new CameraPage(this, place.camera);
    else if (place.view === 'system') this._view = new SystemPage(this);
    else this._view = new Wall(this);
    const lane = laneWords(this.store.me.lane);
    document.title = [this._view.title, lane, 'Seedstream'].filter(Boolean).join(' · ');
    byId('main').replaceChildren(this._view.element);
    if (place.view !== 'wall') scrollTo(0, 0);
    this._view.open();
  }

  /** New cameras may belong to groups. */
  _askGroups() {
    clearTimeout(this._asking);
    this._asking = setTimeout(async () => {
      try {
        this.store.me = await askJson('api/me');
        this._view?.camerasChanged();
      } catch (error) {
        if (!(error instanceof RequestError)) throw error; // told by the connection's own trouble
      }
    }, GROUPS_MS);
  }

  /** Refresh before the next picture of the screen, once, however much changed. */
  _soon() {
    if (this._due) return;
    this._due = true;
    // Not requestAnimationFrame: a page in the background must not end with old words.
    setTimeout(() => {
      this._due = false;
      if (this.store.link === 'login') toLogin();
      this._bar.refresh();
      this._view?.refresh();
      const words = this._bar.news() || this._view?.spoken();
      if (words) this._announcer.say(words);
    }, 16);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const writing = target.matches('input:not([type=checkbox]), textarea, select');
    if (event.altKey || event.ctrlKey || event.metaKey || document.querySelector('dialog[open]')) return;
    if (writing || (event.key === ' ' && target.matches('button, a, input, summary'))) return;
    if (this._bar.key(event.key) || this._view?.key?.(event)) event.preventDefault();
  }
}

/** Ask who this is until the viewer answers: it may be about to start. */
async function main() {
  for (;;) {
    try {
      const me = await askJson('api/me');
      backFromLogin();
      new App(me).start();
      return;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      const note = element('p', { class: 'empty', text: `${error.message} Trying again.` });
      byId('main').replaceChildren(note);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

void main();
