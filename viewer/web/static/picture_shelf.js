/** The last picture of each camera, so that one that is shown again shows something at once. Pure. */

/** @import {PictureHeader} from './types.js' */

/**
 * @typedef {object} Kept A picture as it came.
 * @property {PictureHeader} header
 * @property {Uint8Array<ArrayBuffer>} jpeg
 */

const MAX_BYTES = 8 * 2 ** 20;

/** Keeps the newest pictures of the cameras that were shown last, within a bound. */
export class PictureShelf {
  /** @param {number} [maxBytes] */
  constructor(maxBytes = MAX_BYTES) {
    this._maxBytes = maxBytes;
    this._bytes = 0;
    /** @type {Map<string, Kept>} */
    this._kept = new Map();
  }

  get bytes() {
    return this._bytes;
  }

  /** @param {Kept} picture */
  put(picture) {
    const { camera } = picture.header;
    this._remove(camera);
    this._kept.set(camera, picture);
    this._bytes += picture.jpeg.byteLength;
    for (const oldest of this._kept.keys()) {
      if (this._bytes <= this._maxBytes || oldest === camera) break;
      this._remove(oldest);
    }
  }

  /** @param {string} camera */
  get(camera) {
    return this._kept.get(camera);
  }

  /** @param {string} camera */
  _remove(camera) {
    this._bytes -= this._kept.get(camera)?.jpeg.byteLength ?? 0;
    this._kept.delete(camera);
  }
}
