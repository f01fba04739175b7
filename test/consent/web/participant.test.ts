// The page of a real participant, asked by real workloads with real tokens, over its real server.

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { AuditLog } from '../../../src/consent/audit/log.js'
import { systemClock } from '../../../src/consent/base/clock.js'
import { serveParticipant } from '../../../src/consent/participant/http.js'
import { participantView } from '../../../src/consent/participant/web/participant-view.js'
import { serveParticipantWeb } from '../../../src/consent/participant/web/serve.js'
import { createParticipantWeb } from '../../../src/consent/participant/web/web.js'
import { temporaryFolder } from '../../support/paths.js'
import { policyOf, refused, released, round, setup, workloadOf } from '../participant/fixture.js'
import { describeInChromium, openTab, type Tab } from './browser.js'

async function open(): Promise<{
  tab: Tab
  path: string
  participant: ReturnType<typeof setup>['participant']
  url: string
}> {
  const path = join(temporaryFolder(), 'audit.jsonl')
  const audit = await AuditLog.open(path)
  const policy = policyOf({}, { approval: 'manual' })
  // biome-ignore lint/suspicious/noExplicitAny: the events are the audit's own
  const { participant } = setup({ policy, clock: systemClock, audit: audit as any })
  const web = createParticipantWeb(participantView(participant, audit))
  const server = await serveParticipant(participant)
  const page = await serveParticipantWeb(web)
  onTestFinished(async () => {
    web.close()
    await page.close()
    await server.close()
    await participant.close()
    await audit.close()
  })
  const tab = await openTab()
  await tab.page.goto(web.link(page.url))
  await tab.page.getByText('Live', { exact: true }).waitFor()
  return { tab, path, participant, url: server.url }
}

describeInChromium('web/participant', () => {
  it('releases the share after a click, and refuses after another', async () => {
    const { tab, participant } = await open()
    const { page, problems } = tab
    const ask = () => round({ participant, clock: systemClock as never }, 'client')
    expect(refused((await ask()).answer).code).toBe('manual')
    await page.getByText('Evidence of a test issuer.').waitFor()
    const card = await page.locator('#pending > li').innerText()
    expect(card.replace(/\s/g, '')).toContain(workloadOf('client').imageDigest)
    await page.getByRole('button', { name: /^Approve … a client/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('heading', { name: 'Approved as client' }).waitFor()
    released((await ask()).answer)
    await page
      .locator('#leases')
      .getByText(/^9 min \d+ s left$/)
      .waitFor()
    released((await ask()).answer)
    await page.locator('#leases').getByText('once').waitFor()
    await page.getByRole('button', { name: /^Take back/ }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Refuse' }).click()
    await page.getByRole('heading', { name: 'Refused as client' }).waitFor()
    expect((await ask()).answer).toHaveProperty('code')
    await page.getByText('You refused').waitFor()
    await page.getByText(/The record is whole: \d+ entries/).waitFor()
    expect(await page.locator('#audit').innerText()).toMatch(/You approved.*A request waits/s)
    expect(problems).toEqual([])
  })

  it('withdraws for good', async () => {
    const { tab, participant, url } = await open()
    await tab.page.getByRole('button', { name: 'Withdraw …' }).click()
    await tab.page.getByRole('textbox').fill('withdraw alice')
    await tab.page.getByRole('button', { name: 'Withdraw for good' }).click()
    await tab.page.getByRole('heading', { name: 'You have withdrawn' }).waitFor()
    expect(participant.withdrawal?.label).toBe('alice')
    expect((await fetch(`${url}/v1/withdrawal`)).status).toBe(200)
    await tab.page.getByText('You withdrew').waitFor()
  })

  it.each([
    ['altered', (text: string) => text.replace('"alice"', '"mallo"'), 1],
    ['removed', () => '', 1],
    ['added', (text: string) => `{"event":"released"}\n${text}`, 1],
  ])('notices that a line of the audit was %s while it runs', async (_what, change, line) => {
    const { tab, path } = await open()
    await tab.page.getByText('The record is whole').waitFor()
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, '')
    appendFileSync(path, change(text))
    await tab.page.reload()
    await tab.page.getByText(`This record is broken at entry ${line}`).waitFor()
    expect(await tab.page.locator('#audit-mark').getAttribute('role')).toBe('alert')
  })

  it('is nowhere on the address of the protocol', async () => {
    const { url } = await open()
    for (const path of ['/', '/web/state', '/web/main.js']) {
      expect((await fetch(url + path)).status).toBe(404)
    }
    const login = { method: 'POST', headers: { origin: url, 'content-type': 'application/json' } }
    expect((await fetch(`${url}/web/login`, { ...login, body: '{}' })).status).toBe(404)
    const status = await fetch(`${url}/v1/status`)
    expect(status.status).toBe(200)
    expect(status.headers.get('content-security-policy')).toBeNull()
    expect((await fetch(`${url}/v1/request`, { method: 'POST' })).status).toBe(415)
  })
})
