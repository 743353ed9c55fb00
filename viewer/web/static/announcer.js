/** What screen readers are told without being asked: rarely, politely, the newest alone. */

const PAUSE_MS = 8000;

/** Speaks through one live region. */
export class Announcer {
  /** @param {HTMLElement} region With `aria-live="polite"`. */
  constructor(region) {
    this._region = region;
    this._next = '';
    this._said = '';
    this._quietUntil = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
  }

  /**
   * Say something, now or when the pause has passed; what waits is replaced.
   * @param {string} text
   */
  say(text) {
    this._next = text;
    if (this._timer !== undefined) return;
    this._timer = setTimeout(() => this._speak(), Math.max(0, this._quietUntil - Date.now()));
  }

  _speak() {
    this._timer = undefined;
    if (this._next === this._said) return;
    this._said = this._next;
    this._region.textContent = this._next;
    this._quietUntil = Date.now() + PAUSE_MS;
  }
}
