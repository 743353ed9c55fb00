/** The page's one WebSocket: opened again and again with backoff, never trusted to be alive. */

/** @import {Kept} from './picture_shelf.js' */
/** @import {LinkState, CamerasMessage} from './types.js' */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 3000;
const OPENING_MS = 4000;
/** The server says something every second; silence for this long is a connection that is gone. */
const SILENCE_MS = 5000;
const LOGIN_NEEDED = 4401;

/**
 * @typedef {object} LinkEvents
 * @property {(state: LinkState) => void} state
 * @property {(message: CamerasMessage) => void} cameras
 * @property {(picture: Kept) => void} picture
 */

/** Keeps a connection to the viewer. */
export class Link {
  /**
   * @param {string} url
   * @param {LinkEvents} events
   */
  constructor(url, events) {
    this._url = url;
    this._events = events;
    /** @type {WebSocket | null} */
    this._socket = null;
    /** @type {LinkState} */
    this._state = 'opening';
    this._failures = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._silence = undefined;
  }

  get open() {
    return this._state === 'open';
  }

  /** Connect now, unless connected: at the start, and when the network is said to be back. */
  connect() {
    if (this._socket || this._state === 'login') return;
    clearTimeout(this._timer);
    const socket = new WebSocket(this._url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (event) => this._receive(socket, event.data);
    socket.onclose = (event) => this._closed(socket, event.code);
    this._socket = socket;
    this._listen(socket, OPENING_MS);
  }

  /**
   * Send a message; what is sent while the connection is lost is dropped.
   * @param {unknown} message
   */
  send(message) {
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(message));
  }

  /**
   * @param {WebSocket} socket
   * @param {number} patience Milliseconds of silence.
   */
  _listen(socket, patience) {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => {
      // Closing waits for the other side, which may be gone: it is lost now.
      socket.close();
      this._closed(socket, 0);
    }, patience);
  }

  /**
   * @param {WebSocket} socket
   * @param {string | ArrayBuffer} data
   */
  _receive(socket, data) {
    if (socket !== this._socket) return;
    this._listen(socket, SILENCE_MS);
    if (data instanceof ArrayBuffer) {
      this._events.picture(splitPicture(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === 'hello') {
      this._failures = 0;
      this._become('open');
    } else if (message.type === 'cameras') this._events.cameras(message);
  }

  /**
   * @param {WebSocket} socket
   * @param {number} code
   */
  _closed(socket, code) {
    if (socket !== this._socket) return;
    this._socket = null;
    clearTimeout(this._silence);
    if (code === LOGIN_NEEDED) {
      this._become('login');
      return;
    }
    // A browser does not tell why it was not let in: the session may have ended meanwhile.
    if (this._state !== 'open') void this._askWhetherToLogIn();
    this._become('lost');
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 1.6 ** this._failures);
    this._failures += 1;
    // Not all pages of a house at the same moment.
    this._timer = setTimeout(() => this.connect(), wait * (0.75 + Math.random() / 4));
  }

  async _askWhetherToLogIn() {
    const address = new URL('api/me', this._url.replace(/^ws/, 'http'));
    try {
      const { status } = await fetch(address, { signal: AbortSignal.timeout(OPENING_MS) });
      if (status !== 401) return;
    } catch {
      return; // the viewer is gone, as the page says already
    }
    clearTimeout(this._timer);
    this._become('login');
  }

  /** @param {LinkState} state */
  _become(state) {
    if (state === this._state) return;
    this._state = state;
    this._events.state(state);
  }
}

const text = new TextDecoder();

/**
 * Split a picture's message: 4 bytes that tell the header's length, the header, the JPEG.
 * @param {ArrayBuffer} data
 * @returns {Kept}
 */
export function splitPicture(data) {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(text.decode(new Uint8Array(data, 4, length)));
  return { header, jpeg: new Uint8Array(data, 4 + length) };
}
