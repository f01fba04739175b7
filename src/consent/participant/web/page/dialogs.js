// The two questions that are asked twice: a decision about a request, and withdrawing.

/** @import { Decision } from '../../../store/state.js' */
/** @import { PageState, ShownRequest } from '../state.js' */

import { announce, byId, make, visible } from './dom.js'
import { factsOf, showAge } from './facts.js'
import { decisionFacts } from './lists.js'
import { Refused, send } from './server.js'
import { duration, now } from './time.js'

const CHANGED = 'This has changed since you opened it. Cancel, and look at it again.'
const GONE = 'This request is gone: it was decided already, or nobody asks any more.'

/** @type {Record<string, string>} */
const PROBLEMS = {
  changed: CHANGED,
  gone: GONE,
  unconfirmed: 'These are not the words asked for.',
  'signed-out': 'You are signed out. Sign in again.',
}

const decide = /** @type {HTMLDialogElement} */ (byId('decide'))
const yes = byId('decide-yes')
const leave = /** @type {HTMLDialogElement} */ (byId('leave'))
const words = /** @type {HTMLInputElement} */ (byId('leave-words'))

/**
 * What the button of the open question does, and whether the question still stands.
 * @type {{ path: string, body: object, done: string, next: string, problem: (state: PageState) => string } | undefined}
 */
let asked

/**
 * Shows exactly what is about to be approved or refused.
 * @param {'approve' | 'refuse'} verdict
 * @param {ShownRequest} request
 * @param {PageState} state
 */
export function askDecision(verdict, request, { status }) {
  const approves = verdict === 'approve'
  asked = {
    path: `/web/${verdict}`,
    body: { id: request.id, seen: request.seen },
    done: approves ? 'Approved' : 'Refused',
    next: 'pending-heading',
    problem({ pending }) {
      const current = pending.find(({ id }) => id === request.id)
      if (!current) return GONE
      return current.seen === request.seen ? '' : CHANGED
    },
  }
  const age = make('p', { class: 'quiet' })
  showAge(age, request)
  openDecision(
    approves ? 'Approve this request?' : 'Refuse this request?',
    approves
      ? [
          'The program below, on the machine below, then gets your share of the network ',
          visible(status.network),
          `. It may use it as ${request.role} until its time runs out, and renew it without asking you again, as long as it proves to be the same and you do not withdraw.`,
        ]
      : ['The program below, on the machine below, then does not get your share.'],
    [age, factsOf(request)],
    approves,
  )
}

/**
 * Turns an earlier decision round.
 * @param {Decision} decision
 */
export function askReversal(decision) {
  const approves = decision.decision === 'refused'
  asked = {
    path: '/web/reverse',
    body: { id: decision.id, seen: decision.decision },
    done: approves ? 'Approved' : 'Approval taken back',
    next: 'decisions-heading',
    problem({ decisions }) {
      const current = decisions.find(({ id }) => id === decision.id)
      return current?.decision === decision.decision ? '' : CHANGED
    },
  }
  openDecision(
    approves ? 'Approve after all?' : 'Take back your approval?',
    approves
      ? [
          'You refused this program before. It then gets your share when it asks again, if it proves to be exactly the same: same machine, same arguments, same environment.',
        ]
      : [
          'It gets no new time: where it holds your share now, it has to stop when its time is over.',
        ],
    [decisionFacts(decision)],
    approves,
  )
}

/**
 * @param {string} heading
 * @param {readonly (string | Node)[]} meaning
 * @param {readonly Node[]} facts
 * @param {boolean} approves
 */
function openDecision(heading, meaning, facts, approves) {
  byId('decide-heading').textContent = heading
  byId('decide-meaning').replaceChildren(...meaning)
  byId('decide-facts').replaceChildren(...facts)
  byId('decide-problem').textContent = ''
  yes.textContent = approves ? 'Approve' : 'Refuse'
  yes.className = approves ? 'yes' : 'danger'
  yes.toggleAttribute('disabled', false)
  decide.showModal()
  // Not a button: the key that opened this must not also confirm it.
  byId('decide-heading').focus()
}

/**
 * A question about something that is no longer so cannot be answered.
 * @param {PageState} state
 */
export function checkDecision(state) {
  if (!decide.open || !asked) return
  const problem = asked.problem(state)
  if (problem === '') return
  byId('decide-problem').textContent = problem
  yes.toggleAttribute('disabled', true)
}

/** @param {(state: PageState) => void} onState */
export function listenToDialogs(onState) {
  yes.addEventListener('click', async () => {
    if (!asked) return
    const { path, body, done, next } = asked
    yes.toggleAttribute('disabled', true)
    try {
      const state = await send(path, body)
      decide.close()
      onState(state)
      byId(next).focus()
      announce(done)
    } catch (error) {
      byId('decide-problem').textContent = problemOf(error)
      // What is gone or changed stays so; anything else may be tried again.
      yes.toggleAttribute('disabled', error instanceof Refused && error.code !== 'failed')
    }
  })
  byId('leave-no').addEventListener('click', () => leave.close())
  byId('leave-form').addEventListener('submit', async (event) => {
    event.preventDefault()
    try {
      const state = await send('/web/withdraw', { confirm: words.value.trim() })
      leave.close()
      onState(state)
      byId('withdrawn').scrollIntoView()
      announce('You have withdrawn')
    } catch (error) {
      byId('leave-problem').textContent = problemOf(error)
      words.focus()
    }
  })
}

/** @param {PageState} state */
export function askWithdrawal({ status, leases }) {
  const others = status.n - 1
  const ends = Math.max(0, ...leases.map((lease) => lease.expiresAt - now()))
  const items = [
    'Your share is given to nobody any more, also not to renew.',
    leases.length > 0
      ? `Anyone who holds it now has to stop within ${duration(ends + 1000)}, and all its connections close.`
      : 'Nobody holds your share at the moment.',
    status.t === status.n
      ? 'All shares are needed here: without yours the whole network stops.'
      : `${status.t} of ${status.n} shares are enough here: the other ${others} can go on without you if ${status.t} of them agree.`,
    'You cannot undo it. Taking part again needs a new epoch with new shares of everybody.',
  ]
  byId('leave-meaning').replaceChildren(...items.map((item) => make('li', {}, item)))
  byId('leave-expected').textContent = `withdraw ${status.label}`
  byId('leave-problem').textContent = ''
  words.value = ''
  leave.showModal()
  byId('leave-heading').focus()
}

export function closeDialogs() {
  decide.close()
  leave.close()
}

/** @param {unknown} error */
function problemOf(error) {
  if (!(error instanceof Refused)) return 'The participant does not answer. Is it still running?'
  return PROBLEMS[error.code] ?? `It was not done: ${error.message}`
}
