/** The engine in a worker of its own. */

import { Engine } from './engine.js';

/** @import {ToEngine} from './types.js' */

const port = /** @type {{postMessage(message: unknown): void, onmessage: ((event: MessageEvent<ToEngine>) => void) | null}} */ (
  /** @type {unknown} */ (self)
);
const engine = new Engine((message) => port.postMessage(message));
port.onmessage = (event) => engine.receive(event.data);
