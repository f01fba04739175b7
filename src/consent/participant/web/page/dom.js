// Elements and text. Nothing here takes markup: text becomes text nodes, and what would be invisible or
// would reorder its neighbours is written out.

/**
 * The element of this page with that id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id)
  if (!found) throw new Error(`no element ${id}`)
  return found
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/**
 * Anything that shows as nothing, as a plain space or as a change of direction: controls, formats,
 * unassigned, private use, lone surrogates, separators, spaces but the plain one, combining marks, and
 * the few letters that are blank.
 */
const UNSEEN = /[\p{C}\p{Z}\p{M}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{2800}\u{3164}\u{ffa0}]/u

/** What this project itself writes where something was cut or replaced. */
const OURS = new Set(['…', '\ufffd'])

/**
 * Text from the network, for people: every character shows as itself or as what it is.
 * @param {string | number} value
 * @returns {HTMLElement}
 */
export function visible(value) {
  const text = String(value)
  const shown = make('span', { class: 'text', dir: 'ltr' })
  if (text === '') shown.append(make('em', {}, '(empty)'))
  let plain = ''
  for (const character of text) {
    if ((character >= ' ' && character <= '~') || OURS.has(character)) {
      plain += character
      continue
    }
    shown.append(plain)
    plain = ''
    shown.append(UNSEEN.test(character) ? escaped(character) : foreign(character))
  }
  shown.append(plain)
  return shown
}

/** @param {string} character */
function escaped(character) {
  return make('span', { class: 'escaped', title: 'an invisible character' }, codeOf(character))
}

/**
 * A letter that may look like another (Cyrillic а and Latin a): shown, but marked. Isolated by the
 * style, so that letters written from right to left do not move their neighbours.
 * @param {string} character
 */
function foreign(character) {
  const title = `not a plain letter: ${codeOf(character)}`
  return make('span', { class: 'foreign', title }, character)
}

/** @param {string} character */
function codeOf(character) {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
}

/**
 * A term and its meaning, for a `dl`.
 * @param {string} term
 * @param {Node | string} meaning
 */
export function row(term, meaning) {
  return make('div', {}, make('dt', {}, term), make('dd', {}, meaning))
}

/**
 * Says something to people who listen instead of looking.
 * @param {string} text
 */
export function announce(text) {
  byId('announce').textContent = text
}

/**
 * Makes a list show these items: keeps the elements of those that stay, and with them focus and
 * what is folded open.
 * @template Item
 * @param {HTMLElement} list
 * @param {readonly Item[]} items
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => HTMLElement} create
 * @param {(element: HTMLElement, item: Item) => void} update
 */
export function showItems(list, items, keyOf, create, update) {
  const old = new Map([...list.children].map((child) => [child.getAttribute('data-key'), child]))
  const kept = new Set(items.map(keyOf))
  for (const [key, child] of old) if (key === null || !kept.has(key)) child.remove()
  items.forEach((item, at) => {
    const key = keyOf(item)
    let element = /** @type {HTMLElement | undefined} */ (old.get(key))
    if (!element) {
      element = create(item)
      element.setAttribute('data-key', key)
    }
    // Moving an element takes its focus away.
    if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null)
    update(element, item)
  })
}
