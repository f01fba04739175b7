// Time as the participant's clock has it, counted on with the browser's, and everything that ticks.

let serverNow = 0
let heardAt = 0

/** @param {number} milliseconds since 1970, as the participant just said */
export function setNow(milliseconds) {
  serverNow = milliseconds
  heardAt = performance.now()
}

/** Milliseconds since 1970 by the participant's clock. */
export function now() {
  return serverNow + (performance.now() - heardAt)
}

/**
 * @param {number} milliseconds
 * @returns {string} such as `9 min 41 s`
 */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const units = [
    ['d', Math.floor(seconds / 86_400)],
    ['h', Math.floor(seconds / 3600) % 24],
    ['min', Math.floor(seconds / 60) % 60],
    ['s', seconds % 60],
  ]
  const first = units.findIndex(([, count]) => count !== 0)
  if (first < 0) return '0 s'
  return units
    .slice(first, first + 2)
    .map(([unit, count]) => `${count} ${unit}`)
    .join(' ')
}

/**
 * A date and time for people, in their own zone.
 * @param {number} milliseconds since 1970
 */
export function moment(milliseconds) {
  const date = new Date(milliseconds)
  if (Number.isNaN(date.getTime())) return 'an unknown time'
  return date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' })
}

/**
 * Shows a moment in a `time` element.
 * @param {HTMLElement} element
 * @param {number} milliseconds
 */
export function setMoment(element, milliseconds) {
  element.textContent = moment(milliseconds)
  const date = new Date(milliseconds)
  if (!Number.isNaN(date.getTime())) element.setAttribute('datetime', date.toISOString())
}

/** @type {WeakMap<Element, () => void>} */
const ticking = new WeakMap()

/**
 * Keeps an element up to date, now and every second while it is on the page.
 * @param {Element} element
 * @param {() => void} show
 */
export function tick(element, show) {
  element.setAttribute('data-ticks', '')
  ticking.set(element, show)
  show()
}

setInterval(() => {
  for (const element of document.querySelectorAll('[data-ticks]')) ticking.get(element)?.()
}, 1000)
