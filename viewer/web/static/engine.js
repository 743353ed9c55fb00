/**
 * The page's engine: one connection, decoding, drawing. It runs in a worker, or on the page's own
 * thread where canvases cannot be drawn elsewhere; it knows no document either way.
 */

import { Link } from './link.js';
import { PictureShelf } from './picture_shelf.js';
import { Surface } from './surface.js';

/** @import {Kept} from './picture_shelf.js' */
/** @import {Drawn, FromEngine, PictureHeader, Result, Tile, ToEngine} from './types.js' */

/** Reports of drawn pictures are sent together, this often at most. */
const REPORT_MS = 100;

/** Draws what the server sends. */
export class Engine {
  /** @param {(message: FromEngine) => void} tell */
  constructor(tell) {
    this._tell = tell;
    /** @type {Map<number, Surface>} */
    this._surfaces = new Map();
    /** @type {Tile[]} */
    this._tiles = [];
    /** What the server was asked for last, over this connection. */
    this._asked = '';
    this._shelf = new PictureShelf();
    /** @type {Drawn[]} */
    this._reports = [];
    /** @type {Link | null} */
    this._link = null;
  }

  /**
   * Do what the page says.
   * @param {ToEngine} message
   */
  receive(message) {
    if (message.type === 'start') this._start(message.url);
    else if (message.type === 'retry') this._link?.connect();
    else if (message.type === 'watch') this._watch(message.tiles);
    else if (message.type === 'drop') this._surfaces.delete(message.surface);
    else if (message.type === 'surface') this._add(message);
    else this._change(message);
  }

  /** @param {string} url */
  _start(url) {
    this._link = new Link(url, {
      state: (state) => {
        this._tell({ type: 'link', state });
        for (const surface of this._surfaces.values()) surface.drawn = 0; // ids begin anew
        this._asked = '';
        this._ask();
      },
      cameras: (message) => this._tell({ type: 'cameras', message, receivedMs: Date.now() }),
      picture: (picture) => void this._picture(picture),
    });
    this._link.connect();
  }

  /** @param {Extract<ToEngine, {type: 'surface'}>} message */
  _add({ surface, camera, canvas, report }) {
    const made = new Surface(camera, canvas, report);
    made.last = this._shelf.get(camera);
    this._surfaces.set(surface, made);
  }

  /** @param {Extract<ToEngine, {type: 'look' | 'pause'}>} message */
  _change(message) {
    const surface = this._surfaces.get(message.surface);
    if (!surface) return;
    if (message.type === 'look') surface.look = message.look;
    else surface.paused = message.paused;
    this._ask();
    if (message.type === 'look') void this._redraw(surface);
  }

  /**
   * Take over which cameras the page shows, and how large.
   * @param {Tile[]} tiles
   */
  _watch(tiles) {
    this._tiles = tiles;
    for (const { surface: number, width, height, ratio } of tiles) {
      const surface = this._surfaces.get(number);
      if (!surface || (surface.room.width === width && surface.room.height === height)) continue;
      surface.room = { width, height };
      surface.ratio = ratio;
      void this._redraw(surface);
    }
    this._ask();
  }

  /** Tell the server what is shown: all of it, each time. A paused surface asks for nothing. */
  _ask() {
    /** @type {Map<string, number>} */
    const widths = new Map();
    for (const { surface, camera, width } of this._tiles) {
      if (this._surfaces.get(surface)?.paused) continue;
      widths.set(camera, Math.max(width, widths.get(camera) ?? 0));
    }
    const tiles = [...widths].map(([camera, width]) => ({ camera, width }));
    const asked = JSON.stringify(tiles);
    if (!this._link?.open || asked === this._asked) return;
    this._asked = asked;
    this._link.send({ type: 'watch', tiles });
  }

  /**
   * Decode, draw, acknowledge. What cannot be drawn is acknowledged, too: it is given up.
   * @param {Kept} picture
   */
  async _picture(picture) {
    const { id, camera } = picture.header;
    try {
      const bitmap = await decoded(picture);
      for (const surface of this._surfaces.values()) {
        if (surface.camera !== camera || surface.paused || surface.drawn > id) continue;
        surface.drawn = id;
        surface.last = picture;
        surface.draw(bitmap, picture.header.result);
        this._report(surface, picture.header);
      }
      bitmap.close();
      this._shelf.put(picture);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this._tell({ type: 'unreadable', camera });
    } finally {
      this._link?.send({ type: 'ack', id });
    }
  }

  /**
   * Draw a surface's last picture again: in another look or size, or for the first time.
   * @param {Surface} surface
   */
  async _redraw(surface) {
    const { last } = surface;
    if (!last || !surface.room.width) return;
    const bitmap = await decoded(last);
    if (surface.last === last) {
      surface.draw(bitmap, last.header.result);
      this._report(surface, last.header);
    }
    bitmap.close();
  }

  /**
   * @param {Surface} surface
   * @param {PictureHeader} header
   */
  _report(surface, { camera, sent, result }) {
    if (!this._reports.length) {
      setTimeout(() => this._tell({ type: 'drawn', pictures: this._reports.splice(0) }), REPORT_MS);
    }
    this._reports.push({
      camera,
      session: result.session,
      sequence: result.sequence,
      capturedMs: Date.parse(result.captured_at),
      processedMs: Date.parse(result.processed_at),
      sentMs: sent * 1000,
      drawnMs: Date.now(),
      width: result.width,
      height: result.height,
      counts: countsOf(result),
      ...(surface.report ? { result } : {}),
    });
  }
}

/**
 * @param {Kept} picture
 * @returns {Promise<ImageBitmap>}
 */
function decoded({ jpeg }) {
  return createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' }));
}

/** @param {Result} result */
function countsOf(result) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const { class: name } of result.instances) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
