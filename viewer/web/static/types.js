/**
 * What the page and its server say to each other, and what the page's own parts do. Types alone.
 *
 * Times ending in `Ms` are milliseconds since 1970, as `Date.now()` gives them.
 *
 * @typedef {{size: [number, number], counts: string}} RunLengths COCO run-lengths: [height, width].
 *
 * @typedef {object} Instance One object, in pixels of the captured frame.
 * @property {number} id Number within the frame, from 1.
 * @property {string} class
 * @property {number} score 0..1.
 * @property {[number, number, number, number]} box [x, y, width, height].
 * @property {[number, number]} center
 * @property {number} area Pixels.
 * @property {RunLengths} mask
 * @property {number} [track] Number of the object through time.
 * @property {number} [age_seconds]
 * @property {[number, number]} [velocity]
 * @property {boolean} [confirmed]
 *
 * @typedef {object} Result The result document of one frame.
 * @property {string} camera
 * @property {string} session
 * @property {number} sequence
 * @property {string} captured_at
 * @property {string} processed_at
 * @property {number} width Of the captured frame in pixels.
 * @property {number} height
 * @property {{name: string, version: string, sha256: string}} model
 * @property {number} latency_seconds
 * @property {Instance[]} instances
 * @property {[number, number]} [position]
 *
 * @typedef {object} PictureHeader
 * @property {'picture'} type
 * @property {number} id To be acknowledged.
 * @property {string} camera
 * @property {number} sent Seconds since 1970.
 * @property {Result} result
 *
 * @typedef {'live' | 'offline' | 'waiting'} CameraState
 *
 * @typedef {object} Camera
 * @property {string} id
 * @property {CameraState} state
 * @property {number | null} seen Seconds since 1970 of the last result.
 * @property {number | null} fps
 * @property {number | null} interval Seconds.
 *
 * @typedef {object} CamerasMessage
 * @property {'cameras'} type
 * @property {number} at The server's time, seconds since 1970.
 * @property {'ok' | 'away'} redis
 * @property {string | null} [redis_reason]
 * @property {Camera[]} cameras
 * @property {boolean} [partial]
 * @property {string[]} [gone]
 *
 * @typedef {object} Me
 * @property {string} name
 * @property {'viewer' | 'editor'} role
 * @property {string} zone IANA name of the site's time zone.
 * @property {string} lane `main` where it is the only one.
 * @property {Record<string, string[]>} [groups]
 * @property {boolean} auth
 *
 * @typedef {object} Look What is drawn over the picture.
 * @property {boolean} masks
 * @property {boolean} labels
 * @property {boolean} trails
 * @property {number} minScore 0..1.
 * @property {string[]} hidden Classes left out.
 *
 * @typedef {object} Drawn A picture that stands on the screen.
 * @property {string} camera
 * @property {string} session
 * @property {number} sequence
 * @property {number} capturedMs By the camera's clock.
 * @property {number} processedMs By the worker's.
 * @property {number} sentMs By the server's.
 * @property {number} drawnMs By this machine's.
 * @property {number} width Of the captured frame.
 * @property {number} height
 * @property {Record<string, number>} counts Objects by class, whatever the look.
 * @property {Result} [result] For the surfaces that ask for it.
 *
 * @typedef {'opening' | 'open' | 'lost' | 'login'} LinkState
 *
 * @typedef {object} Tile What a part of the page shows of a camera.
 * @property {number} surface
 * @property {string} camera
 * @property {number} width Device pixels.
 * @property {number} height Device pixels.
 * @property {number} ratio Device pixels of a CSS pixel.
 *
 * @typedef {{type: 'start', url: string}
 *   | {type: 'surface', surface: number, camera: string, canvas: HTMLCanvasElement | OffscreenCanvas, report: boolean}
 *   | {type: 'drop', surface: number}
 *   | {type: 'look', surface: number, look: Look}
 *   | {type: 'pause', surface: number, paused: boolean}
 *   | {type: 'watch', tiles: Tile[]}
 *   | {type: 'retry'}} ToEngine
 *
 * @typedef {{type: 'link', state: LinkState}
 *   | {type: 'cameras', message: CamerasMessage, receivedMs: number}
 *   | {type: 'drawn', pictures: Drawn[]}
 *   | {type: 'unreadable', camera: string}} FromEngine
 */

export {};
