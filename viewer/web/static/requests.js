/** Questions to the server over HTTP. */

import { sentence } from './words.js';

const PATIENCE_MS = 10_000;

/** The server said no, or nothing; the message is a sentence for people. */
export class RequestError extends Error {}

/**
 * Ask, within a bound. A session that has ended leads to the login page.
 * @param {string} address Relative to the page.
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function ask(address, options = {}) {
  let response;
  try {
    response = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  } catch {
    throw new RequestError('The viewer does not answer.');
  }
  if (response.ok) return response;
  if (response.status === 401) toLogin();
  throw new RequestError(await reasonOf(response));
}

/**
 * Ask for JSON.
 * @param {string} address
 * @returns {Promise<any>}
 */
export async function askJson(address) {
  const response = await ask(address, { headers: { Accept: 'application/json' } });
  return response.json();
}

/** @param {Response} response */
async function reasonOf(response) {
  try {
    const { error } = await response.json();
    if (typeof error === 'string') return sentence(error);
  } catch {
    // not our server's words, then: a proxy's
  }
  return `The viewer answered with status ${response.status}.`;
}

/** Go to the login page, and come back afterwards. */
export function toLogin() {
  sessionStorage.setItem('seedstream.place', location.hash);
  location.assign('login');
}

/** Go where one was before the login page, if so. */
export function backFromLogin() {
  const place = sessionStorage.getItem('seedstream.place');
  sessionStorage.removeItem('seedstream.place');
  if (place && !location.hash) location.hash = place;
}
