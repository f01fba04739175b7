// What an attestation says about a program, in words for people, each with what was really said.

/** @import { ShownFacts, ShownRequest, NameAndValue } from '../state.js' */
/** @import { ClaimValue } from '../../../attestation/types.js' */

import { announce, make, row, visible } from './dom.js'
import { duration, moment, now, tick } from './time.js'

export const ROLES = {
  client: 'Client: opens connections',
  server: 'Server: accepts connections',
}

/** @type {Record<string, string>} */
const HARDWARE = {
  GCP_INTEL_TDX: 'Intel TDX: memory encrypted',
  GCP_AMD_SEV: 'AMD SEV: memory encrypted',
  GCP_AMD_SEV_ES: 'AMD SEV-ES: memory and registers encrypted',
  AMD_SEV_SNP: 'AMD SEV-SNP: memory and registers encrypted, integrity kept',
  INTEL_TDX: 'Intel TDX: memory encrypted',
  AWS_NITRO: 'AWS Nitro: an enclave apart from its host machine',
  GCP_SHIELDED_VM: 'no memory encryption: the operator can read it',
}

const CONFIDENTIAL_SPACE = 'confidential-space'
const DIGEST = /^sha256:[0-9a-f]{64}$/

/**
 * All of it: a decision must not depend on something left out.
 * @param {ShownRequest} request
 */
export function factsOf(request) {
  const { facts } = request
  const list = make('dl', { class: 'facts' })
  list.append(row('Role', ROLES[request.role]), row('Program', digest(facts.imageDigest)))
  if (facts.kind === 'local') {
    list.prepend(
      row('Careful', warning('Evidence of a test issuer. It proves nothing about any hardware.')),
    )
  }
  const isSpace = facts.platform.name === CONFIDENTIAL_SPACE
  // Other platforms may have no such thing; Confidential Space always says.
  if (isSpace || facts.project !== undefined) list.append(row('Project', said(facts.project)))
  if (isSpace || facts.zone !== undefined) list.append(row('Zone', said(facts.zone)))
  list.append(
    row('Machine', said(facts.instance)),
    row('Hardware', known(facts.hardware, HARDWARE, facts.hardware === 'GCP_SHIELDED_VM')),
    row('Arguments', texts(facts.args)),
    row('Environment', pairs(facts.env)),
  )
  if (facts.overriddenArgs.length > 0) {
    list.append(row('Arguments the operator changed', texts(facts.overriddenArgs)))
  }
  if (facts.overriddenEnv.length > 0) {
    list.append(row('Environment the operator changed', pairs(facts.overriddenEnv)))
  }
  list.append(
    row('Debugging', debugging(facts.debug)),
    ...(isSpace ? spaceRows(facts) : platformRows(facts)),
    row('Issuer of the evidence', joined([facts.issuer, facts.kind])),
  )
  return list
}

/**
 * What Confidential Space alone says.
 * @param {ShownFacts} facts
 */
function spaceRows(facts) {
  const { google_service_accounts, swname, swversion, secboot, support_attributes, ...others } =
    facts.platform.claims
  return [
    row('Service accounts', texts(listOf(google_service_accounts))),
    row('Started as', reference(facts.imageReference)),
    row(
      'Platform software',
      joined([textOf(swname), textOf(swversion), ...listOf(support_attributes)]),
    ),
    row('Secure boot', secureBoot(secboot)),
    ...(Object.keys(others).length > 0 ? [row('More of the platform', claims(others))] : []),
  ]
}

/**
 * All that another platform says, under its own names.
 * @param {ShownFacts} facts
 */
function platformRows(facts) {
  return [
    row('Platform', visible(facts.platform.name)),
    row('It says', claims(facts.platform.claims)),
  ]
}

/** @param {Readonly<Record<string, ClaimValue>>} said */
function claims(said) {
  return pairs(
    Object.entries(said).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : `${value}`,
    ]),
  )
}

/**
 * @param {ClaimValue | undefined} value
 * @returns {readonly string[]}
 */
function listOf(value) {
  return typeof value === 'object' ? value : []
}

/** @param {ClaimValue | undefined} value */
function textOf(value) {
  return typeof value === 'string' ? value : undefined
}

/**
 * When the evidence was made and how often this was asked: changes without the facts changing.
 * @param {HTMLElement} element
 * @param {ShownRequest} request
 */
export function showAge(element, request) {
  tick(element, () => {
    const age = duration(now() - request.facts.attestedAt)
    const left = request.facts.expiresAt - now()
    const asked = request.times === 1 ? 'once' : `${request.times} times`
    const since = duration(now() - request.firstAskedAt)
    element.textContent = `Evidence made ${age} ago${left > 0 ? '' : ', expired'}. Asked ${asked}, for ${since}.`
    element.title = `evidence made ${moment(request.facts.attestedAt)}`
  })
}

/**
 * An image digest: short for recognising, in full for comparing, and to copy.
 * @param {string | undefined} text
 */
export function digest(text) {
  if (text === undefined) return warning('not stated')
  if (!DIGEST.test(text)) return make('span', {}, warning('not a digest: '), visible(text))
  const hex = text.slice('sha256:'.length)
  const groups = hex.match(/.{8}/g) ?? []
  const copy = make('button', { type: 'button', class: 'small' }, 'Copy')
  copy.setAttribute('aria-label', 'Copy the full digest')
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text)
      announce('Copied')
      copy.textContent = 'Copied'
    } catch {
      // No right to the clipboard: mark it, so that the person can copy it.
      getSelection()?.selectAllChildren(full)
      announce('Marked; copy it with your keyboard')
    }
    setTimeout(() => {
      copy.textContent = 'Copy'
    }, 2000)
  })
  const full = make('code', { class: 'digest' }, make('span', {}, 'sha256:'))
  full.append(...groups.map((group) => make('span', {}, group)))
  return make('div', {}, make('strong', { class: 'short' }, shortDigest(text)), ' ', copy, full)
}

/** @param {string} text */
export function shortDigest(text) {
  return DIGEST.test(text) ? `${text.slice(7, 19)}…` : 'not a digest'
}

/** @param {string | undefined} text */
function said(text) {
  return text === undefined ? warning('not stated') : visible(text)
}

/**
 * @param {string | undefined} text
 * @param {Record<string, string>} meanings
 * @param {boolean} bad
 */
function known(text, meanings, bad) {
  if (text === undefined) return warning('not stated')
  const meaning = Object.hasOwn(meanings, text) ? meanings[text] : 'unknown kind'
  const shown = bad ? warning(`${meaning}`) : make('span', {}, `${meaning}`)
  return make('span', {}, shown, ' (', visible(text), ')')
}

/** @param {string | undefined} text */
function debugging(text) {
  if (text === 'disabled-since-boot') return make('span', {}, 'off since start')
  return make('span', {}, warning('may be on: '), said(text))
}

/** @param {ClaimValue | undefined} value */
function secureBoot(value) {
  if (value === true) return make('span', {}, 'yes')
  return warning(value === false ? 'no' : 'not stated')
}

/** @param {string | undefined} text */
function reference(text) {
  if (text === undefined) return make('span', {}, 'not stated')
  return make('span', {}, visible(text), ' ', make('em', {}, 'a name only; the digest decides'))
}

/** @param {readonly (string | undefined)[]} parts */
function joined(parts) {
  const shown = make('span', {})
  parts.forEach((part, at) => {
    shown.append(at === 0 ? '' : ', ', said(part))
  })
  return shown
}

/** @param {readonly string[]} items */
function texts(items) {
  if (items.length === 0) return make('span', {}, 'none')
  return make('ol', { class: 'texts' }, ...items.map((item) => make('li', {}, visible(item))))
}

/** @param {readonly NameAndValue[]} items */
function pairs(items) {
  if (items.length === 0) return make('span', {}, 'none')
  const lines = items.map(([name, value]) => make('li', {}, visible(name), ' = ', visible(value)))
  return make('ul', { class: 'texts' }, ...lines)
}

/** @param {string} text */
export function warning(text) {
  return make('strong', { class: 'warning' }, text)
}
