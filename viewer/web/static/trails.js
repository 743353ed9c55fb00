/** Where tracked objects came from, as `viewer/trails.py` remembers it. Pure. */

/** @import {Instance} from './types.js' */

/**
 * @typedef {object} TrailPoint
 * @property {number} x Of the foot, the middle of the box's lower edge, in pixels of the frame.
 * @property {number} y
 * @property {number} age 0 for now to 1 for the trail's end.
 */

const SECONDS = 2;

/** Remembers where the objects of one camera stood during the last two seconds. */
export class TrailMemory {
  constructor() {
    /** @type {Map<number, {moment: number, x: number, y: number}[]>} */
    this._points = new Map();
    this._now = -Infinity;
    this._size = '';
  }

  /**
   * Add a frame. A moment that goes back, or another size of the picture, begins anew.
   * @param {number} moment Capture time in seconds.
   * @param {Instance[]} instances
   * @param {string} size Of the frame, in any words.
   * @returns {Map<number, TrailPoint[]>} By track, oldest point first.
   */
  add(moment, instances, size) {
    if (moment < this._now || size !== this._size) this._points.clear();
    this._now = moment;
    this._size = size;
    for (const { track, box } of instances) {
      if (track === undefined) continue;
      const points = this._points.get(track) ?? [];
      if (points.at(-1)?.moment !== moment) {
        points.push({ moment, x: box[0] + box[2] / 2, y: box[1] + box[3] });
      }
      this._points.set(track, points);
    }
    return this._trails();
  }

  _trails() {
    /** @type {Map<number, TrailPoint[]>} */
    const trails = new Map();
    for (const [track, points] of this._points) {
      while (points.length && this._now - points[0].moment > SECONDS) points.shift();
      if (!points.length) this._points.delete(track);
      else
        trails.set(
          track,
          points.map(({ moment, x, y }) => ({ x, y, age: (this._now - moment) / SECONDS })),
        );
    }
    return trails;
  }
}
