// The lists of the page: waiting requests, holders of the share, the network, what has happened.

/** @import { Lease } from '../../../store/lease.js' */
/** @import { Decision } from '../../../store/state.js' */
/** @import { PageState, ShownRequest } from '../state.js' */
/** @import { AuditLine, AuditReport } from '../view.js' */

import { announce, byId, make, row, showItems, visible } from './dom.js'
import { digest, factsOf, ROLES, shortDigest, showAge } from './facts.js'
import { duration, now, setMoment, tick } from './time.js'

/**
 * The audit's words, for people.
 * @type {Record<string, string>}
 */
const EVENTS = {
  created: 'Record created',
  started: 'Participant started',
  stopped: 'Participant stopped',
  released: 'Share released',
  renewed: 'Lease renewed',
  refused: 'Request refused',
  pending: 'A request waits for you',
  approved: 'You approved',
  counted: 'Counted since the last entry',
  'lease-ended': 'Lease ended',
  'policy-replaced': 'Policy replaced',
  'epoch-installed': 'New epoch',
  repaired: 'Record repaired after a crash',
  withdrawn: 'You withdrew',
}

/**
 * @param {PageState} state
 * @param {(verdict: 'approve' | 'refuse', request: ShownRequest) => void} onDecide
 */
export function showPending(state, onDecide) {
  const withdrawn = state.status.withdrawnSince !== undefined
  const list = byId('pending')
  const before = list.childElementCount
  const hadFocus = list.contains(document.activeElement)
  showItems(
    list,
    state.pending,
    // Other facts are another card: nobody clicks on what has changed under the pointer.
    ({ id, seen }) => `${id} ${seen}`,
    (request) => requestCard(request, onDecide),
    (card, request) => {
      const age = card.querySelector('.age')
      if (age instanceof HTMLElement) showAge(age, request)
      for (const button of card.querySelectorAll('button.yes')) {
        button.toggleAttribute('disabled', withdrawn)
      }
    },
  )
  if (hadFocus && !list.contains(document.activeElement)) byId('pending-heading').focus()
  byId('pending-none').hidden = state.pendingTotal > 0
  showMore(byId('pending-more'), state.pendingTotal - state.pending.length)
  if (state.pendingTotal > before) {
    announce(state.pendingTotal === 1 ? '1 request waits' : `${state.pendingTotal} requests wait`)
  }
}

/** @param {PageState} state */
export function showLeases(state) {
  showItems(
    byId('leases'),
    state.leases,
    (lease) => lease.releaseId,
    () => leaseCard(),
    updateLease,
  )
  byId('leases-none').hidden = state.leasesTotal > 0
  showMore(byId('leases-more'), state.leasesTotal - state.leases.length)
}

/**
 * @param {PageState} state
 * @param {(decision: Decision) => void} onReverse
 */
export function showDecisions(state, onReverse) {
  const withdrawn = state.status.withdrawnSince !== undefined
  const list = byId('decisions')
  const hadFocus = list.contains(document.activeElement)
  byId('decisions-section').hidden = state.decisionsTotal === 0
  showItems(
    list,
    state.decisions,
    ({ id, decision }) => `${id} ${decision}`,
    (decision) => decisionCard(decision, onReverse),
    (card, { decision }) => {
      const dead = withdrawn && decision === 'refused'
      card.querySelector('.buttons button')?.toggleAttribute('disabled', dead)
    },
  )
  if (hadFocus && !list.contains(document.activeElement)) byId('decisions-heading').focus()
  showMore(byId('decisions-more'), state.decisionsTotal - state.decisions.length)
}

/** @param {PageState} state */
export function showStatus({ status }) {
  byId('title').replaceChildren('Participant ', visible(status.label))
  byId('network').replaceChildren('Network ', visible(status.network), `, epoch ${status.epoch}`)
  const { counters } = status
  const refused = Object.entries(counters.refused).filter(([, count]) => count > 0)
  byId('status').replaceChildren(
    row('You are', visible(status.label)),
    row('Network', visible(status.network)),
    row('Epoch', `${status.epoch}`),
    row('Consent needed', `${status.t} of ${status.n} participants`),
    row('Your part', status.withdrawnSince === undefined ? 'taking part' : 'withdrawn'),
    row('Descriptor', make('code', { class: 'digest' }, ...hexGroups(status.descriptorHash))),
    row(
      'Since it started',
      `${counters.requests} requests, ${counters.released} shares released, ` +
        `${refused.reduce((sum, [, count]) => sum + count, 0)} refused, ` +
        `${counters.evidenceRefused} false evidence, ${counters.malformed} unreadable`,
    ),
  )
  const withdrawn = status.withdrawnSince !== undefined
  byId('withdrawn').hidden = !withdrawn
  byId('withdraw-section').hidden = withdrawn
  if (status.withdrawnSince !== undefined) setMoment(byId('withdrawn-at'), status.withdrawnSince)
}

/** @param {AuditReport} report */
export function showAudit({ kept, lines, total, checked = total, broken }) {
  const mark = byId('audit-mark')
  mark.className = broken ? 'notice bad' : 'notice good'
  mark.setAttribute('role', broken ? 'alert' : 'status')
  if (broken) {
    const where = broken.line > 0 ? ` at entry ${broken.line}` : ''
    mark.replaceChildren(
      make('strong', {}, `✗ This record is broken${where}. `),
      'Somebody altered, removed or added an entry, or the file was damaged. Keep the file and find out who could write it. ',
      visible(broken.reason),
    )
  } else if (!kept) {
    mark.className = 'notice'
    mark.replaceChildren('This participant keeps no record.')
  } else {
    const entries = total === 1 ? '1 entry' : `${total} entries`
    const text =
      checked < total
        ? `✓ The last ${checked} of ${entries} are whole`
        : `✓ The record is whole: ${entries}`
    mark.replaceChildren(text, ', each carrying the fingerprint of the one before it.')
  }
  const list = byId('audit')
  list.setAttribute('start', String(lines[0]?.number ?? 1))
  showItems(
    list,
    lines,
    (line) => `${line.number} ${line.at} ${line.event} ${line.details.join()}`,
    auditItem,
    (item, line) =>
      item.classList.toggle('bad', broken !== undefined && line.number >= broken.line),
  )
  const more = total - lines.length
  byId('audit-more').hidden = more <= 0
  byId('audit-more').textContent =
    `${more} older entries: mcbn participant audit verifies and shows them.`
}

/**
 * @param {ShownRequest} request
 * @param {(verdict: 'approve' | 'refuse', request: ShownRequest) => void} onDecide
 */
function requestCard(request, onDecide) {
  const name = `a ${request.role}, program ${shortDigest(request.facts.imageDigest ?? '')}`
  /** @type {(verdict: 'approve' | 'refuse', text: string, look: string) => HTMLElement} */
  const button = (verdict, text, look) => {
    const element = make('button', { type: 'button', class: look }, text)
    element.setAttribute('aria-label', `${text} ${name}`)
    element.addEventListener('click', () => onDecide(verdict, request))
    return element
  }
  return make(
    'li',
    { class: 'card' },
    make('h3', {}, `A ${request.role} asks for your share`),
    make('p', { class: 'age quiet' }),
    factsOf(request),
    make(
      'div',
      { class: 'buttons' },
      button('refuse', 'Refuse …', 'plain'),
      button('approve', 'Approve …', 'yes'),
    ),
  )
}

/**
 * @param {Decision} decision
 * @param {(decision: Decision) => void} onReverse
 */
function decisionCard(decision, onReverse) {
  const approved = decision.decision === 'approved'
  const button = make('button', { type: 'button', class: 'plain' })
  button.textContent = approved ? 'Take back …' : 'Approve after all …'
  const name = `${decision.role}, program ${shortDigest(decision.imageDigest)}`
  button.setAttribute('aria-label', `${button.textContent} ${name}`)
  button.addEventListener('click', () => onReverse(decision))
  return make(
    'li',
    { class: 'card' },
    make('h3', {}, `${approved ? 'Approved' : 'Refused'} as ${decision.role}`),
    decisionFacts(decision),
    make('div', { class: 'buttons' }, button),
  )
}

/** @param {Decision} decision */
export function decisionFacts(decision) {
  const decided = make('time', {})
  setMoment(decided, decision.decidedAt)
  const facts = make('dl', { class: 'facts' }, row('Decided', decided))
  if (decision.expiresAt !== undefined) {
    const until = make('time', {})
    setMoment(until, decision.expiresAt)
    facts.append(row('Holds until', until))
  }
  facts.append(
    row('Program', digest(decision.imageDigest)),
    row('Machine', visible(decision.instance)),
  )
  return facts
}

function leaseCard() {
  const bar = make('progress', { 'aria-hidden': 'true' })
  const left = make('p', { class: 'left' })
  return make('li', { class: 'card' }, make('h3', {}), left, bar, make('dl', { class: 'facts' }))
}

/**
 * @param {HTMLElement} card
 * @param {Lease} lease
 */
function updateLease(card, lease) {
  const text = JSON.stringify(lease)
  if (card.getAttribute('data-shown') === text) return
  card.setAttribute('data-shown', text)
  const title = card.querySelector('h3')
  title?.replaceChildren(ROLES[lease.role])
  const left = card.querySelector('.left')
  const bar = card.querySelector('progress')
  if (left && bar) {
    bar.max = Math.max(1, lease.expiresAt - lease.releasedAt)
    tick(left, () => {
      const rest = lease.expiresAt - now()
      left.textContent = rest > 0 ? `${duration(rest)} left` : 'time is over'
      bar.value = Math.max(0, Math.min(bar.max, rest))
    })
  }
  const renewed = lease.renewals === 1 ? 'once' : `${lease.renewals} times`
  card
    .querySelector('dl')
    ?.replaceChildren(
      row('Program', digest(lease.imageDigest)),
      row('Project', visible(lease.project)),
      row('Machine', visible(lease.instance)),
      row('Renewed', lease.renewals === 0 ? 'not yet' : renewed),
    )
}

/** @param {AuditLine} line */
function auditItem(line) {
  const time = make('time', {})
  setMoment(time, line.at)
  const details = make('dl', { class: 'details' })
  details.append(...line.details.map(([name, value]) => row(name, visible(value))))
  for (const term of details.querySelectorAll('dt')) term.replaceChildren(visible(term.textContent))
  const decided = line.event === 'refused' && line.details.some(([name]) => name === 'decision')
  const known = Object.hasOwn(EVENTS, line.event) ? EVENTS[line.event] : undefined
  const event = decided ? 'You refused' : known
  return make('li', {}, time, ' ', make('strong', {}, event ?? visible(line.event)), details)
}

/**
 * @param {HTMLElement} element
 * @param {number} count
 */
function showMore(element, count) {
  element.hidden = count <= 0
  element.textContent = `and ${count} more`
}

/** @param {string} hex */
function hexGroups(hex) {
  return (hex.match(/.{1,8}/gu) ?? []).map((group) => make('span', {}, visible(group)))
}
