// Usable by keyboard, by ear, on a small screen and in the dark.

import { expect, it } from 'vitest'
import { describeInChromium, expectCalm, openTab, signIn } from './browser.js'
import { MemoryParticipant, someFacts, someLease, someRequest } from './memory-participant.js'
import { servePageForTest } from './page-server.js'

function busyParticipant(): MemoryParticipant {
  const participant = new MemoryParticipant()
  const facts = someFacts({ kind: 'local', args: ['a\u202eb', 'аdmin', ''], zone: undefined })
  participant.requests = [someRequest({ facts })]
  participant.out = [someLease(), someLease({ releaseId: 'two', role: 'client', renewals: 0 })]
  participant.made = [
    { ...someLease(), id: 'r', decision: 'refused', decidedAt: Date.now(), expiresAt: Date.now() },
  ]
  participant.note('started', [['label', 'alice']])
  participant.note('released', [['instance', 'i-1']])
  return participant
}

describeInChromium('web/accessible', () => {
  it('is used by keyboard alone: signing in, approving, cancelling, withdrawing', async () => {
    const participant = busyParticipant()
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    const focused = (): Promise<string> =>
      page.evaluate('(document.activeElement.ariaLabel ?? document.activeElement.textContent)')
    const tabTo = async (name: RegExp) => {
      for (let times = 0; times < 40; times += 1) {
        await page.keyboard.press('Tab')
        if (name.test(await focused())) return
      }
      throw new Error(`no Tab leads to ${name}`)
    }
    await page.goto(server.base)
    await page.getByLabel('Token').waitFor()
    await page.keyboard.type(server.web.token)
    await page.keyboard.press('Enter')
    await page.getByText('Live', { exact: true }).waitFor()

    await tabTo(/^Approve …/)
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    // Pressed once too often: nothing is confirmed.
    await page.keyboard.press('Enter')
    expect(await focused()).toBe('Approve this request?')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(await focused()).toMatch(/^Approve …/)
    expect(participant.asked).toEqual([])

    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await tabTo(/^Approve$/)
    await page.keyboard.press('Space')
    await page.getByText('Nobody is waiting.').waitFor()
    expect(participant.asked).toEqual([`approved ${'a'.repeat(64)}`])
    expect(await focused()).toBe('Waiting for your decision')
    expect(await page.locator('#announce').innerText()).toBe('Approved')

    await tabTo(/^Withdraw …/)
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Tab')
    await page.keyboard.type('withdraw alice')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'You have withdrawn' }).waitFor()
    expect(participant.asked.at(-1)).toBe('withdraw')
    expectCalm(tab, server)
  })

  it('tells by ear that somebody waits, once', async () => {
    const participant = new MemoryParticipant()
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    const region = tab.page.locator('#announce')
    expect(await region.getAttribute('aria-live')).toBe('polite')
    await tab.page.evaluate(
      `globalThis.said = []; new MutationObserver(() => said.push(document.querySelector('#announce').textContent)).observe(document.querySelector('#announce'), { childList: true })`,
    )
    participant.requests = [someRequest()]
    participant.changed()
    await tab.page.getByText('A client asks for your share').waitFor()
    participant.requests = [someRequest({ times: 8 })]
    participant.changed()
    await tab.page.getByText('Asked 8 times').waitFor()
    expect(await tab.page.evaluate('said')).toEqual(['1 request waits'])
  })

  it.each([
    ['light', 320],
    ['dark', 320],
    ['light', 1000],
    ['dark', 1000],
  ] as const)(
    'is readable in %s at %i px: contrast, no sideways scrolling',
    async (scheme, width) => {
      const participant = busyParticipant()
      const server = await servePageForTest(participant)
      const tab = await openTab({ colorScheme: scheme, viewport: { width, height: 700 } })
      const { page } = tab
      await page.goto(server.base)
      await page.getByLabel('Token').waitFor()
      expect(await page.evaluate(LOW_CONTRAST)).toEqual([])
      await signIn(tab, server)
      await page.getByText('The record is whole').waitFor()
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
      expect(await page.evaluate(LOW_CONTRAST)).toEqual([])
      await page.getByRole('button', { name: /^Approve …/ }).click()
      expect(await page.evaluate(LOW_CONTRAST)).toEqual([])
      await page.keyboard.press('Escape')
      participant.broken = { line: 1, reason: 'a hash differs' }
      participant.withdraw()
      await page.getByText('broken at entry 1').waitFor()
      expect(await page.evaluate(LOW_CONTRAST)).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    },
  )

  it('has names, labels, headings in order, one h1, unique ids, and targets big enough', async () => {
    const server = await servePageForTest(busyParticipant())
    const tab = await openTab({ viewport: { width: 320, height: 700 } })
    const { page } = tab
    await signIn(tab, server)
    await page.getByText('The record is whole').waitFor()
    await page.getByRole('button', { name: 'Withdraw …' }).click()
    expect(await page.evaluate(FLAWS)).toEqual([])
  })

  it('shows where the focus is', async () => {
    const server = await servePageForTest(busyParticipant())
    const tab = await openTab()
    await signIn(tab, server)
    await tab.page.keyboard.press('Tab')
    const outline = 'getComputedStyle(document.activeElement).outlineWidth'
    expect(await tab.page.evaluate(outline)).toBe('3px')
  })
})

/** Texts with less contrast than WCAG 2.2 asks for (1.4.3: 4.5, large text 3), as seen. */
const LOW_CONTRAST = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })
  const parse = (color) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const backOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor)
      if (color[3] === 255) return color
    }
    return [255, 255, 255]
  }
  const root = document.querySelector('dialog[open]') ?? document.body
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
  const low = new Set()
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue
    if (element.matches(':disabled')) continue
    const style = getComputedStyle(element)
    const [one, other] = [light(parse(style.color)), light(backOf(element))]
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    const large = parseFloat(style.fontSize) >= 24
    if (ratio < (large ? 3 : 4.5)) low.add(walker.currentNode.data.trim().slice(0, 40) + ' ' + ratio.toFixed(2))
  }
  return [...low]
})()`

/** What an automatic checker would say. */
const FLAWS = `(() => {
  const flaws = []
  if (document.documentElement.lang !== 'en') flaws.push('no language')
  if (!document.title) flaws.push('no title')
  const seen = (element) => element.checkVisibility()
  const all = (selector) => [...document.querySelectorAll(selector)]
  if (all('main').length !== 1) flaws.push('not one main')
  if (all('h1').filter(seen).length !== 1) flaws.push('not one h1')
  let last = 1
  for (const heading of all('h1, h2, h3').filter(seen)) {
    const level = Number(heading.tagName[1])
    if (level > last + 1) flaws.push('heading skips a level: ' + heading.textContent)
    if (!heading.textContent.trim()) flaws.push('empty heading')
    last = level
  }
  const ids = all('[id]').map(({ id }) => id)
  if (new Set(ids).size !== ids.length) flaws.push('an id twice')
  for (const name of ['aria-labelledby', 'aria-describedby']) {
    for (const element of all('[' + name + ']')) {
      if (!document.getElementById(element.getAttribute(name))) flaws.push(name + ' leads nowhere')
    }
  }
  for (const input of all('input')) if (input.labels.length !== 1) flaws.push('no label: ' + input.id)
  for (const image of all('img')) if (!image.hasAttribute('alt')) flaws.push('no alt')
  for (const button of all('button').filter(seen)) {
    if (!(button.ariaLabel ?? button.textContent).trim()) flaws.push('a button without a name')
    const visible = button.textContent.replace(/ …$/, '')
    if (button.ariaLabel && !button.ariaLabel.startsWith(visible)) flaws.push('says another name: ' + visible)
    const { width, height } = button.getBoundingClientRect()
    if (width < 24 || height < 24) flaws.push('too small: ' + visible)
  }
  for (const list of all('dl')) {
    const wrong = [...list.children].some((row) => !row.matches(':has(> dt + dd:last-child)'))
    if (wrong) flaws.push('a dl with something else in it')
  }
  for (const list of all('ul, ol')) {
    if ([...list.children].some((item) => item.tagName !== 'LI')) flaws.push('a list with something else in it')
  }
  if (all('[style], [onclick]').length > 0) flaws.push('inline style or handler')
  return flaws
})()`
