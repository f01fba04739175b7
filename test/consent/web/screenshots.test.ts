// The pictures of the documents: `npm run screenshots` takes them anew, every other run takes them into a
// its own folder and throws them away. Real pages with made-up requests, always the same.

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { systemClock } from '../../../src/consent/base/clock.js'
import { repositoryRoot, temporaryFolder } from '../../support/paths.js'
import { describeInChromium, expectCalm, openTab } from './browser.js'
import { MemoryParticipant, someFacts, someLease, someRequest } from './memory-participant.js'
import { servePageForTest } from './page-server.js'

const NOW = Date.UTC(2026, 10, 20, 9, 30)
const MOST_BYTES = 150_000

function photogenic(): MemoryParticipant {
  const participant = new MemoryParticipant()
  const attestedAt = NOW - 12_000
  participant.requests = [
    someRequest({
      firstAskedAt: NOW - 65_000,
      lastAskedAt: NOW,
      facts: someFacts({ attestedAt, expiresAt: attestedAt + 3_600_000 }),
    }),
  ]
  participant.out = [someLease({ releasedAt: NOW - 152_000, expiresAt: NOW + 448_000 })]
  participant.note('started', [['label', 'alice']], NOW - 7_200_000)
  participant.note('refused', refusal(), NOW - 3_000_000)
  participant.note('released', [['role', 'server'], ...machine()], NOW - 2_400_000)
  participant.note('renewed', [['role', 'server'], ...machine()], NOW - 152_000)
  participant.note('pending', [['role', 'client']], NOW - 65_000)

  return participant
}

describeInChromium('web/screenshots', () => {
  it('are small, and show what the documents say', async () => {
    const wanted = process.env['MCBN_SCREENSHOTS']
    const folder = wanted === undefined ? temporaryFolder() : join(repositoryRoot, wanted)
    mkdirSync(folder, { recursive: true })
    const participant = photogenic()
    const clock = { ...systemClock, wall: () => NOW }
    const server = await servePageForTest(participant, { clock })
    const viewport = { width: 900, height: 860 }
    const tab = await openTab({ viewport, reducedMotion: 'reduce' })
    const { page } = tab
    // The picture must not depend on how long it took to get there.
    await page.addInitScript('performance.now = () => 0')
    await page.goto(server.web.link(server.base))
    await page.getByText('The record is whole').waitFor()
    await take(page, folder, 'participant-pending')
    await page.getByRole('button', { name: /^Approve/ }).click()
    await take(page, folder, 'participant-approve')
    await page.keyboard.press('Escape')
    await page.getByRole('heading', { name: 'Your share in use' }).scrollIntoViewIfNeeded()
    await page.evaluate("document.querySelector('#leases-heading').scrollIntoView()")
    await take(page, folder, 'participant-leases')
    await page.getByRole('button', { name: 'Withdraw …' }).click()
    await take(page, folder, 'participant-withdraw')
    await page.keyboard.press('Escape')
    participant.broken = { line: 3, reason: 'audit: line 3: expected the hash of the line before' }
    participant.changed()
    await page.getByText('broken at entry 3').waitFor()
    await page.evaluate("document.querySelector('#audit-heading').scrollIntoView()")
    await take(page, folder, 'participant-audit-broken')
    participant.broken = undefined
    await page.setViewportSize({ width: 360, height: 760 })
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.evaluate('scrollTo(0, 0)')
    await take(page, folder, 'participant-small-dark')

    expectCalm(tab, server)
  })
})

async function take(page: Page, folder: string, name: string): Promise<void> {
  const path = join(folder, `${name}.png`)
  await page.screenshot({ path, animations: 'disabled', caret: 'hide' })
  const { size } = statSync(path)
  expect(size, name).toBeGreaterThan(10_000)
  expect(size, name).toBeLessThan(MOST_BYTES)
}

function machine(): [string, string][] {
  return [
    ['project', 'frank-prod'],
    ['instance', '2209174400313366719'],
  ]
}

function refusal(): [string, string][] {
  return [
    ['code', 'policy'],
    ['details', 'image: expected one of the policy, got sha256:77aa02…'],
  ]
}
