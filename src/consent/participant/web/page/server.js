// Talking to the participant: the session's key, questions, decisions, and live updates.

/** @import { PageState } from '../state.js' */

const KEY = 'mcbn-key'
/** Milliseconds between questions where there is no stream. */
const POLL = 5_000

/** Why something was not done, by the participant's word for it. */
export class Refused extends Error {
  /**
   * @param {string} code
   * @param {Record<string, unknown>} details
   */
  constructor(code, details) {
    super(String(details['message'] ?? code))
    this.code = code
    this.seconds = Number(details['seconds'] ?? 0)
  }
}

export function hasKey() {
  return localStorage.getItem(KEY) !== null
}

/** @param {string} secret the token, or what a link carried */
export async function signIn(secret) {
  const { key } = await send('/web/login', { secret })
  localStorage.setItem(KEY, String(key))
}

export async function signOut() {
  try {
    await send('/web/logout', {})
  } finally {
    localStorage.removeItem(KEY)
  }
}

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 */
export async function send(path, body) {
  const headers = { 'content-type': 'application/json' }
  return answer(await ask(path, { method: 'POST', headers, body: JSON.stringify(body) }))
}

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function get(path) {
  return answer(await ask(path))
}

/**
 * Follows the participant until the session ends.
 * @param {(state: PageState) => void} onState
 * @param {(link: 'live' | 'polling' | 'lost') => void} onLink
 * @param {AbortSignal} signal ends it too
 */
export async function follow(onState, onLink, signal) {
  for (let failures = 0; !signal.aborted; ) {
    try {
      const response = await ask('/web/events', { signal })
      if (response.ok && response.body) {
        onLink('live')
        for await (const { event, data } of eventsOf(response.body)) {
          failures = 0
          if (event === 'state') onState(JSON.parse(data))
          if (event === 'ended') throw new Refused('signed-out', {})
        }
      } else {
        if (response.status !== 503) await answer(response)
        onLink('polling')
        for (let times = 0; times < 12 && !signal.aborted; times += 1) {
          onState(await get('/web/state'))
          failures = 0
          await sleep(POLL, signal)
        }
        continue
      }
    } catch (error) {
      if (signal.aborted || (error instanceof Refused && error.code === 'signed-out')) return
    }
    onLink('lost')
    failures += 1
    await sleep(Math.min(30_000, 500 * 2 ** failures), signal)
  }
}

/**
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} [init]
 */
async function ask(path, init = {}) {
  const key = localStorage.getItem(KEY)
  const headers = { ...init.headers, ...(key === null ? {} : { 'x-mcbn-key': key }) }
  return fetch(path, { ...init, headers, redirect: 'error' })
}

/** @param {Response} response */
async function answer(response) {
  const body = await response.json().catch(() => ({}))
  if (response.ok) return body
  const code = String(body.error ?? 'failed')
  if (code === 'signed-out') localStorage.removeItem(KEY)
  throw new Refused(code, body)
}

/**
 * Server-sent events as our server writes them: an event line, one data line, a blank line.
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const field = (/** @type {string} */ name) =>
        block
          .split('\n')
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2) ?? ''
      yield { event: field('event'), data: field('data') }
    }
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
