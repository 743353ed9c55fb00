/** What the page knows: cameras, their last pictures, the server's time. */

/** @import {Situation} from './words.js' */
/** @import {Camera, Drawn, FromEngine, LinkState, Me} from './types.js' */

/** The server's clock is told by the quickest of so many messages. */
const CLOCK_MESSAGES = 10;
/** How many drawn pictures the page remembers of itself. */
const REMEMBERED = 600;

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** Holds the state, and tells who listens: `cameras` when the list changed, `state`, `drawn`. */
export class Store extends EventTarget {
  /** @param {Me} me */
  constructor(me) {
    super();
    this.me = me;
    /** @type {LinkState} */
    this.link = 'opening';
    /** @type {'ok' | 'away'} */
    this.redis = 'ok';
    /** @type {string | null} */
    this.redisReason = null;
    /** Since when, by this machine's clock, the connection is open and the page is seen. */
    this.openMs = Date.now();
    document.addEventListener('visibilitychange', () => (this.openMs = Date.now()));
    /** Whether the server has told its cameras. */
    this.told = false;
    /** @type {Map<string, Camera>} */
    this.cameras = new Map();
    /** @type {string[]} */
    this.sorted = [];
    /** @type {Map<string, Drawn>} */
    this.pictures = new Map();
    /** What was drawn lately, for the page's own figures. @type {{drawnMs: number, delayMs: number}[]} */
    this.lately = [];
    /** @type {number[]} */
    this._offsets = [];
    this.clock = zoned(me.zone, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
    this.minute = zoned(me.zone, { hour: '2-digit', minute: '2-digit' });
    this.day = zoned(me.zone, { day: 'numeric', month: 'short' });
  }

  /** The server's time in milliseconds since 1970. */
  get nowMs() {
    return Date.now() + (this._offsets.length ? Math.max(...this._offsets) : 0);
  }

  /** @returns {Situation} */
  get situation() {
    const { link, redis, nowMs, clock, day } = this;
    return { link, redis, nowMs, openMs: nowMs - (Date.now() - this.openMs), clock, day };
  }

  /**
   * Take in what the engine says.
   * @param {FromEngine} message
   */
  receive(message) {
    if (message.type === 'link') {
      this.link = message.state;
      this._offsets = [];
      this.openMs = Date.now();
      this._tell('state');
    } else if (message.type === 'cameras') {
      this._offsets = [
        message.message.at * 1000 - message.receivedMs,
        ...this._offsets.slice(0, CLOCK_MESSAGES - 1),
      ];
      this._take(message.message);
    } else if (message.type === 'drawn') this._drawn(message.pictures);
  }

  /** @param {import('./types.js').CamerasMessage} message */
  _take(message) {
    const before = this.cameras.size;
    const names = new Set(message.cameras.map(({ id }) => id));
    const gone = message.partial
      ? (message.gone ?? [])
      : this.sorted.filter((id) => !names.has(id));
    for (const camera of message.cameras) this.cameras.set(camera.id, camera);
    for (const id of gone) {
      this.cameras.delete(id);
      this.pictures.delete(id);
    }
    this.redis = message.redis;
    this.redisReason = message.redis_reason ?? null;
    const changed = !this.told || gone.length > 0 || this.cameras.size !== before;
    this.told = true;
    if (changed) {
      this.sorted = [...this.cameras.keys()].sort(collator.compare);
      this._tell('cameras');
    }
    this._tell('state');
  }

  /** @param {Drawn[]} pictures */
  _drawn(pictures) {
    for (const picture of pictures) {
      this.pictures.set(picture.camera, picture);
      this.lately.push({ drawnMs: picture.drawnMs, delayMs: picture.drawnMs - picture.sentMs });
    }
    if (this.lately.length > REMEMBERED) this.lately.splice(0, this.lately.length - REMEMBERED);
    this.dispatchEvent(new CustomEvent('drawn', { detail: pictures }));
  }

  /** @param {string} name */
  _tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

/**
 * @param {string} zone
 * @param {Intl.DateTimeFormatOptions} options
 */
function zoned(zone, options) {
  try {
    return new Intl.DateTimeFormat('en-GB', { ...options, timeZone: zone });
  } catch {
    // A zone that this browser does not know: its times would be wrong, those of UTC are not.
    return new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC' });
  }
}
