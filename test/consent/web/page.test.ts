// The page as a person uses it, in Chromium.

import { expect, it } from 'vitest'
import { space } from '../../support/facts.js'
import { waitFor } from '../../support/wait.js'
import { describeInChromium, expectCalm, openTab, signIn, tabIn } from './browser.js'
import {
  CLIENT_IMAGE,
  MemoryParticipant,
  someFacts,
  someLease,
  someRequest,
} from './memory-participant.js'
import { servePage, servePageForTest } from './page-server.js'

describeInChromium('web/page: signing in', () => {
  it('shows nothing before, says what is wrong, and lets the token in', async () => {
    const participant = new MemoryParticipant()
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await page.goto(server.base)
    await page.getByLabel('Token').fill('not the token')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('This is not the token.').waitFor()
    expect(await page.locator('body').innerText()).not.toMatch(/alice|clinic/)
    await page.getByLabel('Token').fill(`  ${server.web.token}\n`)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { name: 'Participant alice' }).waitFor()
    const text = await page.locator('body').innerText()
    expect(text).toContain('Network clinic-north, epoch 4')
    expect(text).toContain('2 of 3 participants')
    expect(text.replace(/\s/g, '')).toContain(participant.status().descriptorHash)
    await page.reload()
    await page.getByRole('heading', { name: 'Participant alice' }).waitFor()
    expectCalm(tab, server)
  })

  it('takes a link once and keeps its secret out of the address', async () => {
    const server = await servePageForTest(new MemoryParticipant())
    const link = server.web.link(server.base)
    const first = await openTab()
    await first.page.goto(link)
    await first.page.getByRole('heading', { name: 'Participant alice' }).waitFor()
    expect(first.page.url()).toBe(`${server.base}/`)
    const second = await openTab()
    await second.page.goto(link)
    await second.page.getByText('This link was used already').waitFor()
    expectCalm(first, server)
  })

  it('asks to wait after too many wrong tokens', async () => {
    const server = await servePageForTest(new MemoryParticipant())
    const { page } = await openTab()
    await page.goto(server.base)
    for (let times = 0; times < 11; times += 1) {
      await page.getByLabel('Token').fill('wrong')
      const answered = page.waitForResponse(/login/)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await answered
    }
    await page.getByText(/Too many attempts\. Wait \d+ (s|min)/).waitFor()
  })

  it('signs out: what was shown is gone, also from other tabs', async () => {
    const participant = new MemoryParticipant()
    participant.requests = [someRequest()]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    const other = await tabIn(tab.context)
    await other.page.goto(server.base)
    await other.page.getByRole('heading', { name: 'Participant alice' }).waitFor()
    await tab.page.getByRole('button', { name: 'Sign out' }).click()
    for (const { page } of [tab, other]) {
      await page.getByLabel('Token').waitFor()
      expect(await page.content()).not.toMatch(/alice|clinic|frank-prod/)
    }
    expect(await tab.context.cookies()).toEqual([])
    expectCalm(tab, server)
  })

  it('keeps three participants on one machine apart', async () => {
    const tab = await openTab()
    const tabs = []
    for (const label of ['alice', 'bob', 'carol']) {
      const participant = new MemoryParticipant()
      participant.changes = { label }
      const server = await servePageForTest(participant)
      const mine = await tabIn(tab.context)
      await signIn(mine, server)
      tabs.push({ mine, label, server })
    }
    for (const { mine, label, server } of tabs) {
      await mine.page.reload()
      await mine.page.getByRole('heading', { name: `Participant ${label}` }).waitFor()
      expectCalm(mine, server)
    }
  })
})

describeInChromium('web/page: deciding', () => {
  it('shows a request as it comes in, and approves exactly it', async () => {
    const participant = new MemoryParticipant()
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await signIn(tab, server)
    await page.getByText('Nobody is waiting.').waitFor()
    participant.requests = [someRequest()]
    participant.changed()
    await page.getByRole('button', { name: /^Approve/ }).click()
    expect(await page.title()).toMatch(/^\(1\) alice/)
    const dialog = page.getByRole('dialog', { name: 'Approve this request?' })
    const text = (await dialog.innerText()).replace(/\s+/g, ' ')
    for (const part of [
      'clinic-north',
      'Client: opens connections',
      'frank-prod',
      'europe-west4-b',
      '7130591662014558273',
      'Intel TDX: memory encrypted (GCP_INTEL_TDX)',
      '--report=weekly',
      'MCBN_DESCRIPTOR_HASH = c0ffee',
      'https://confidentialcomputing.googleapis.com',
    ]) {
      expect(text).toContain(part)
    }
    expect(text.replace(/ /g, '')).toContain(CLIENT_IMAGE)
    await dialog.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('heading', { name: 'Approved as client' }).waitFor()
    expect(participant.asked).toEqual([`approved ${'a'.repeat(64)}`])
    expect(await page.getByText('Nobody is waiting.').isVisible()).toBe(true)
    expectCalm(tab, server)
  })

  it('refuses, and turns a decision round', async () => {
    const participant = new MemoryParticipant()
    participant.requests = [someRequest({ id: 'r1' })]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await signIn(tab, server)
    await page.getByRole('button', { name: /^Refuse/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Refuse' }).click()
    await page.getByRole('button', { name: /^Approve after all/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('button', { name: /^Take back/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Refuse' }).click()
    await page.getByRole('heading', { name: 'Refused as client' }).waitFor()
    expect(participant.asked).toEqual(['refused r1', 'approved r1', 'refused r1'])
    expectCalm(tab, server)
  })

  it('does not let a person approve what has changed while they were reading', async () => {
    const participant = new MemoryParticipant()
    participant.requests = [someRequest()]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await signIn(tab, server)
    await page.getByRole('button', { name: /^Approve/ }).click()
    const env = new Map([['LD_PRELOAD', '/tmp/evil.so']])
    participant.requests = [someRequest({ facts: someFacts({ env }) })]
    participant.changed()
    await page.getByText('This has changed since you opened it').waitFor()
    expect(await page.locator('#decide-yes').isDisabled()).toBe(true)
    await page.keyboard.press('Escape')
    await page.getByText('LD_PRELOAD').waitFor()
    expect(participant.asked).toEqual([])
    expectCalm(tab, server)
  })

  it('warns of test evidence, debugging, missing encryption and changed environments', async () => {
    const participant = new MemoryParticipant()
    const facts = someFacts({
      kind: 'local',
      hardware: 'GCP_SHIELDED_VM',
      debug: 'enabled',
      platform: space({ secboot: undefined }),
      imageDigest: 'client:latest',
      project: undefined,
      overriddenEnv: new Map([['NODE_OPTIONS', '--inspect']]),
    })
    participant.requests = [someRequest({ facts })]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    expect(await tab.page.locator('#pending .warning').allInnerTexts()).toEqual([
      'Evidence of a test issuer. It proves nothing about any hardware.',
      'not a digest: ',
      'not stated',
      'no memory encryption: the operator can read it',
      'may be on: ',
      'not stated',
    ])
    const changed = tab.page.getByText('Environment the operator changed')
    expect(await changed.locator('..').innerText()).toContain('NODE_OPTIONS = --inspect')
  })

  it('copies the full digest', async () => {
    const participant = new MemoryParticipant()
    participant.requests = [someRequest()]
    const server = await servePageForTest(participant)
    const tab = await openTab({ permissions: ['clipboard-write'] })
    await signIn(tab, server)
    await tab.page.getByRole('button', { name: 'Copy the full digest' }).click()
    await tab.page.getByText('Copied').first().waitFor()
    await tab.page.evaluate("document.body.append(document.createElement('textarea'))")
    await tab.page.locator('textarea').press('Control+V')
    expect(await tab.page.locator('textarea').inputValue()).toBe(CLIENT_IMAGE)
  })
})

describeInChromium('web/page: leases, record, withdrawing', () => {
  it('counts a lease down, shows its renewals, and drops it when it is gone', async () => {
    const participant = new MemoryParticipant()
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await signIn(tab, server)
    participant.out = [someLease({ expiresAt: Date.now() + 50_900 })]
    participant.changed()
    const secondsLeft = async () =>
      Number(/^(\d+) s left$/.exec(await page.locator('#leases .left').innerText())?.[1])
    const first = await secondsLeft()
    expect(first).toBeGreaterThan(30)
    expect(first).toBeLessThanOrEqual(50)
    await waitFor('three seconds less', async () => (await secondsLeft()) <= first - 3)
    expect(await page.locator('#leases').innerText()).toContain('3 times')
    participant.out = [someLease({ releaseId: 'lease-2', renewals: 4 })]
    participant.changed()
    await page.getByText('4 times').waitFor()
    await page.getByText(/^7 min \d+ s left$/).waitFor()
    participant.out = []
    participant.changed()
    await page.getByText('Nobody holds your share.').waitFor()
    expectCalm(tab, server)
  })

  it('counts by the clock of the participant, not of the browser', async () => {
    const participant = new MemoryParticipant()
    const server = await servePageForTest(participant)
    participant.out = [someLease()]
    const tab = await openTab()
    await tab.page.clock.setFixedTime(new Date('2001-01-01T00:00:00Z'))
    await signIn(tab, server)
    await tab.page.getByText(/^7 min \d+ s left$/).waitFor()
  })

  it('shows the record, newest first, and says loudly when its chain is broken', async () => {
    const participant = new MemoryParticipant()
    participant.note('started', [['label', 'alice']])
    participant.note('released', [['instance', 'i-1']])
    participant.note('something new', [['why', 'because']])
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await signIn(tab, server)
    await page.getByText('✓ The record is whole: 3 entries').waitFor()
    const entries = await page.locator('#audit > li strong').allInnerTexts()
    expect(entries).toEqual(['something new', 'Share released', 'Participant started'])
    participant.broken = { line: 2, reason: 'expected the hash of line 1' }
    participant.changed()
    const alert = page.getByRole('alert').filter({ hasText: 'broken at entry 2' })
    await alert.waitFor()
    expect(await alert.innerText()).toContain('expected the hash of line 1')
    expect(await page.locator('#audit > li.bad').count()).toBe(2)
    expectCalm(tab, server)
  })

  it.each([0, 700, 1_000, 1_150])(
    'notices a break of the chain %i ms after another change, however the readings fall',
    async (milliseconds) => {
      const participant = new MemoryParticipant()
      const server = await servePageForTest(participant)
      const tab = await openTab()
      await signIn(tab, server)
      participant.note('started')
      participant.changed()
      await new Promise((resolve) => setTimeout(resolve, milliseconds))
      participant.note('refused')
      participant.broken = { line: 1, reason: 'a hash differs' }
      participant.changes = { epoch: 5 }
      participant.changed()
      await tab.page.getByText('broken at entry 1').waitFor()
      expect(await tab.page.locator('#audit > li').count()).toBe(2)
    },
  )

  it('withdraws only after the words were typed, and explains what follows', async () => {
    const participant = new MemoryParticipant()
    participant.requests = [someRequest()]
    participant.out = [someLease()]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await signIn(tab, server)
    await page.getByRole('button', { name: 'Withdraw …' }).click()
    const dialog = page.getByRole('dialog', { name: 'Withdraw your consent?' })
    const text = await dialog.innerText()
    expect(text).toMatch(/has to stop within 7 min \d+ s/)
    expect(text).toContain('the other 2 can go on without you if 2 of them agree')
    expect(text).toContain('You cannot undo it.')
    await dialog.getByRole('textbox').fill('yes')
    await dialog.getByRole('button', { name: 'Withdraw for good' }).click()
    await dialog.getByText('These are not the words asked for.').waitFor()
    expect(participant.asked).toEqual([])
    await dialog.getByRole('textbox').fill('withdraw alice')
    await dialog.getByRole('textbox').press('Enter')
    await page.getByRole('heading', { name: 'You have withdrawn' }).waitFor()
    expect(participant.asked).toEqual(['withdraw'])
    expect(await page.getByRole('button', { name: /^Approve/ }).isDisabled()).toBe(true)
    expect(await page.getByRole('button', { name: 'Withdraw …' }).count()).toBe(0)
    expectCalm(tab, server)
  })

  it('says of n-of-n that without this share everything stops', async () => {
    const participant = new MemoryParticipant()
    participant.changes = { mode: 'n-of-n', t: 3 }
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    await tab.page.getByRole('button', { name: 'Withdraw …' }).click()
    await tab.page.getByText('without yours the whole network stops').waitFor()
  })
})

describeInChromium('web/page: staying up to date', () => {
  it('polls where there is no stream', async () => {
    const participant = new MemoryParticipant()
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    for (const _ of [2, 3]) {
      const { page } = await tabIn(tab.context)
      await page.goto(server.base)
      await page.getByText('Live', { exact: true }).waitFor()
    }
    const polling = await tabIn(tab.context)
    await polling.page.clock.install()
    await polling.page.goto(server.base)
    await polling.page.getByText('Updated every 5 seconds').waitFor()
    participant.requests = [someRequest()]
    await polling.page.clock.fastForward(5_000)
    await polling.page.getByText('A client asks for your share').waitFor()
    expectCalm(polling, server)
  })

  it('says when the participant is gone, and asks to sign in once it is back', async () => {
    const participant = new MemoryParticipant()
    const server = await servePage(participant)
    const tab = await openTab()
    await signIn(tab, server)
    // As a killed process: no farewell.
    await server.kill()
    await tab.page.getByText('Not connected: what you see may be old').waitFor()
    const again = await servePageForTest(participant, {}, server.port)
    await tab.page.getByText('Your session is over. Sign in again.').waitFor()
    expect(again.port).toBe(server.port)
  })

  it('keeps the focus where it is while the list changes', async () => {
    const participant = new MemoryParticipant()
    participant.requests = [someRequest({ id: 'mine' })]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    await tab.page.locator('#pending button.yes').focus()
    participant.requests = [someRequest({ id: 'new', role: 'server' }), ...participant.requests]
    participant.changed()
    await waitFor('two cards', async () => (await tab.page.locator('#pending > li').count()) === 2)
    const focused = tab.page.locator('#pending > li', { has: tab.page.locator(':focus') })
    expect(await focused.getAttribute('data-key')).toMatch(/^mine /)
  })
})
