// A real Chromium, without a window. Anyone who lacks one locally sees loudly what was left out; in CI,
// which installs it, a missing one is a failure.

import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest'
import { slowdown } from '../../support/pace.js'
import { findProgram, requirePeer } from '../../support/peers.js'
import type { PageServer } from './page-server.js'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** Debian's chromium, or what else is installed under the usual names. */
export function findChromium(): string | undefined {
  return NAMES.map(findProgram).find((file) => file !== undefined)
}

/** @throws {Error} where there is none. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium()
  if (executablePath === undefined) throw new Error('chromium is not on the PATH')
  // Its sandbox refuses to work for root; nothing but our own page is opened.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  return await chromium.launch({ executablePath, args, headless: true })
}

let browser: Browser

/** `describe` with a browser; left out, or in CI failed, where there is none. */
export function describeInChromium(title: string, body: () => void): void {
  const there = findChromium() !== undefined || requirePeer('chromium')
  describe.skipIf(!there)(title, () => {
    beforeAll(async () => {
      browser = await launchChromium()
    }, 60_000)
    afterAll(() => browser.close())
    body()
  })
}

export interface Tab {
  readonly page: Page
  readonly context: BrowserContext
  /** Every address that the browser asked for. */
  readonly requests: string[]
  /** What went wrong in the page: exceptions, blocked content, dialogs of scripts. */
  readonly problems: string[]
}

type ContextOptions = Parameters<Browser['newContext']>[0]

/** Its own window, with no cookies yet. */
export async function openTab(options: ContextOptions = {}): Promise<Tab> {
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options })
  // Chromium on a busy machine: what hangs is found all the same.
  context.setDefaultTimeout(45_000 * slowdown)
  onTestFinished(() => context.close())
  return await tabIn(context)
}

/** One more tab beside others. */
export async function tabIn(context: BrowserContext): Promise<Tab> {
  const page = await context.newPage()
  const requests: string[] = []
  const problems: string[] = []
  page.on('request', (request) => requests.push(request.url()))
  page.on('pageerror', (error) => problems.push(`exception: ${error.message}`))
  page.on('console', (message) => {
    // Refused requests are noted by Chromium as errors; the page handles them.
    const expected = /the server responded with a status of (400|401|404|409|429|503)/
    if (message.type() === 'error' && !expected.test(message.text())) problems.push(message.text())
  })
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  return { page, context, requests, problems }
}

/** Opens the page and signs in with a link. */
export async function signIn({ page }: Tab, server: PageServer): Promise<void> {
  await page.goto(server.web.link(server.base))
  await page.getByRole('heading', { name: 'Your share in use' }).waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
}

/** Nothing of the page came from elsewhere, nothing was blocked, nothing threw. */
export function expectCalm({ requests, problems }: Tab, server: PageServer): void {
  expect(problems).toEqual([])
  expect(requests.filter((url) => !url.startsWith(`${server.base}/`))).toEqual([])
}
