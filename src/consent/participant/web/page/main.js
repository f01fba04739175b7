// The page of one participant: signing in, and keeping everything shown up to date.

/** @import { PageState } from '../state.js' */

import {
  askDecision,
  askReversal,
  askWithdrawal,
  checkDecision,
  closeDialogs,
  listenToDialogs,
} from './dialogs.js'
import { announce, byId } from './dom.js'
import { showAudit, showDecisions, showLeases, showPending, showStatus } from './lists.js'
import { follow, get, hasKey, Refused, signIn, signOut } from './server.js'
import { duration, now, setNow, tick } from './time.js'

const LINKS = {
  live: 'Live',
  polling: 'Updated every 5 seconds',
  lost: 'Not connected: what you see may be old',
}

/** Milliseconds: the record is read after a change has settled, and now and then without one. */
const AUDIT_SOON = 1_100
const AUDIT_LATER = 60_000

/** @type {PageState | undefined} */
let current
/** @type {AbortController | undefined} */
let following
/** @type {ReturnType<typeof setTimeout> | undefined} */
let auditTimer
let auditDue = 0
/** What was shown last, without the time, and since when. */
let shown = ''
let changedAt = 0

/** @param {PageState} state */
function show(state) {
  current = state
  setNow(state.now)
  showStatus(state)
  showPending(state, (verdict, request) => askDecision(verdict, request, current ?? state))
  showLeases(state)
  showDecisions(state, askReversal)
  checkDecision(state)
  const waiting = state.pendingTotal > 0 ? `(${state.pendingTotal}) ` : ''
  document.title = `${waiting}${state.status.label} · mcbn participant`
  const ends = now() + state.sessionLeft
  tick(byId('sign-out'), () => {
    byId('sign-out').title = `you are signed in for another ${duration(ends - now())}`
  })
  const { now: _now, sessionLeft: _left, ...rest } = state
  const text = JSON.stringify(rest)
  if (text === shown) return
  shown = text
  changedAt = performance.now()
  readAudit(AUDIT_SOON)
}

/** @param {number} milliseconds */
function readAudit(milliseconds) {
  const due = performance.now() + milliseconds
  if (auditTimer !== undefined && auditDue <= due) return
  clearTimeout(auditTimer)
  auditDue = due
  auditTimer = setTimeout(async () => {
    auditTimer = undefined
    const begun = performance.now()
    try {
      showAudit(await get('/web/audit'))
      // What changed shortly before may not have been in it yet.
      readAudit(begun < changedAt + AUDIT_SOON ? AUDIT_SOON : AUDIT_LATER)
    } catch {
      // Signed out or not connected: the code that follows the state notices and says so.
      shown = ''
    }
  }, milliseconds)
}

/** @param {keyof typeof LINKS} link */
function showLink(link) {
  byId('link').textContent = LINKS[link]
  byId('link').className = `link ${link}`
}

async function start() {
  byId('login').hidden = true
  byId('content').hidden = false
  byId('sign-out').hidden = false
  following?.abort()
  following = new AbortController()
  const { signal } = following
  try {
    show(await get('/web/state'))
    showAudit(await get('/web/audit'))
  } catch (error) {
    // Not reachable is not signed out: following tries again.
    if (error instanceof Refused && error.code === 'signed-out') return showLogin('')
  }
  await follow(show, showLink, signal)
  if (!signal.aborted) showLogin('Your session is over. Sign in again.')
}

/** @param {string} problem */
function showLogin(problem) {
  following?.abort()
  clearTimeout(auditTimer)
  auditTimer = undefined
  current = undefined
  shown = ''
  closeDialogs()
  byId('content').hidden = true
  byId('sign-out').hidden = true
  byId('link').textContent = ''
  byId('title').textContent = 'mcbn participant'
  byId('network').textContent = ''
  document.title = 'Sign in · mcbn participant'
  // What was shown is not left in the page for the next person.
  for (const id of ['pending', 'leases', 'decisions', 'status', 'audit', 'decide-facts']) {
    byId(id).replaceChildren()
  }
  byId('login').hidden = false
  byId('login-problem').textContent = problem
  byId('token').focus()
}

/**
 * @param {string} secret
 * @param {string} wrong what to say when it is not accepted
 */
async function login(secret, wrong) {
  try {
    await signIn(secret)
    announce('Signed in')
  } catch (error) {
    if (!(error instanceof Refused)) return showLogin('The participant does not answer.')
    const wait = `Too many attempts. Wait ${duration(error.seconds * 1000)} and try again.`
    return showLogin(
      error.code === 'wait' ? wait : error.code === 'wrong-token' ? wrong : error.message,
    )
  }
  await start()
}

/** A link that signs in carries its secret behind the `#`, where no server sees it. */
async function openLink() {
  const secret = /^#login=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1]
  if (secret === undefined) return false
  history.replaceState(null, '', '/')
  await login(secret, 'This link was used already or is too old. Paste the token instead.')
  return true
}

byId('login-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const token = /** @type {HTMLInputElement} */ (byId('token'))
  const secret = token.value.trim()
  token.value = ''
  login(secret, 'This is not the token. Copy it again from the participant’s output.')
})
byId('sign-out').addEventListener('click', async () => {
  await signOut().catch(() => {})
  showLogin('')
})
byId('withdraw').addEventListener('click', () => {
  if (current) askWithdrawal(current)
})
addEventListener('hashchange', openLink)
listenToDialogs(show)

if (!(await openLink())) {
  if (hasKey()) await start()
  else showLogin('')
}
