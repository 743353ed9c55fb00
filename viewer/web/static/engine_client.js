/** The page's end of the engine: in a worker, or beside the page where canvases cannot leave it. */

/** @import {FromEngine, Look, Tile, ToEngine} from './types.js' */

/** Hands canvases to the engine and tells it what the page shows. */
export class EngineClient {
  /**
   * @param {(message: FromEngine) => void} listener
   */
  constructor(listener) {
    this._surfaces = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._asking = undefined;
    /** @type {() => Tile[]} */
    this._shown = () => [];
    this.inWorker =
      typeof Worker === 'function' && 'transferControlToOffscreen' in HTMLCanvasElement.prototype;
    this._post = this.inWorker ? this._remote(listener) : this._local(listener);
    document.addEventListener('visibilitychange', () => {
      this.ask(0);
      if (!document.hidden) this._post({ type: 'retry' });
    });
    addEventListener('online', () => this._post({ type: 'retry' }));
    this._post({ type: 'start', url: socketUrl() });
  }

  /**
   * @param {(message: FromEngine) => void} listener
   * @returns {(message: ToEngine, transfer?: Transferable[]) => void}
   */
  _remote(listener) {
    const worker = new Worker(new URL('./engine_worker.js', import.meta.url), { type: 'module' });
    worker.onmessage = (event) => listener(event.data);
    return (message, transfer = []) => worker.postMessage(message, transfer);
  }

  /**
   * @param {(message: FromEngine) => void} listener
   * @returns {(message: ToEngine) => void}
   */
  _local(listener) {
    const loading = import('./engine.js').then(({ Engine }) => new Engine(listener));
    return (message) => void loading.then((engine) => engine.receive(message));
  }

  /**
   * Let a canvas show a camera.
   * @param {string} camera
   * @param {HTMLCanvasElement} canvas
   * @param {boolean} [report] Whether whole results are wanted of what is drawn.
   * @returns {number} The surface's number.
   */
  add(camera, canvas, report = false) {
    const surface = ++this._surfaces;
    const given = this.inWorker ? canvas.transferControlToOffscreen() : canvas;
    const transfer = /** @type {Transferable[]} */ (this.inWorker ? [given] : []);
    this._post({ type: 'surface', surface, camera, canvas: given, report }, transfer);
    return surface;
  }

  /** @param {number} surface */
  drop(surface) {
    this._post({ type: 'drop', surface });
  }

  /**
   * @param {number} surface
   * @param {Look} look
   */
  look(surface, look) {
    this._post({ type: 'look', surface, look });
  }

  /**
   * @param {number} surface
   * @param {boolean} paused
   */
  pause(surface, paused) {
    this._post({ type: 'pause', surface, paused });
  }

  /**
   * Say who knows what the page shows now; a view does so when it opens.
   * @param {() => Tile[]} shown
   */
  show(shown) {
    this._shown = shown;
    this.ask(0);
  }

  /**
   * Tell the engine soon what is shown; a hidden page shows nothing.
   * @param {number} [afterMs] Changes within this time are told together.
   */
  ask(afterMs = 80) {
    clearTimeout(this._asking);
    this._asking = setTimeout(() => {
      this._post({ type: 'watch', tiles: document.hidden ? [] : this._shown() });
    }, afterMs);
  }
}

function socketUrl() {
  const url = new URL('ws', document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
