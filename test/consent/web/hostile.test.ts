// What others put into the page, and what other pages try: harmless in a real browser.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import type { AttestedFacts } from '../../../src/consent/attestation/types.js'
import { seenOf } from '../../../src/consent/participant/web/state.js'
import { space } from '../../support/facts.js'
import { describeInChromium, expectCalm, openTab, signIn, tabIn } from './browser.js'
import { MemoryParticipant, someFacts, someLease, someRequest } from './memory-participant.js'
import { servePageForTest } from './page-server.js'

const MARKUP = [
  '<img src=x onerror="globalThis.pwned=1">',
  '<script>globalThis.pwned=1</script>',
  '"><svg onload=globalThis.pwned=1>',
  '<a href="javascript:globalThis.pwned=1">click</a>',
  '<link rel=stylesheet href=//evil.example/x.css>',
  '{{constructor.constructor("globalThis.pwned=1")()}}',
].join('')

function hostileFacts(text: string): AttestedFacts {
  return someFacts({
    issuer: text,
    hardware: text,
    debug: text,
    imageDigest: text,
    imageReference: text,
    args: [text, text],
    env: new Map([[text, text]]),
    overriddenArgs: [text],
    overriddenEnv: new Map([[text, text]]),
    project: text,
    zone: text,
    instance: text,
    platform: space({
      swname: text,
      swversion: text,
      support_attributes: [text],
      google_service_accounts: [text],
      [text]: text,
    }),
  })
}

/** Everything that is not the participant's own comes from the network. */
function hostileParticipant(text: string): MemoryParticipant {
  const participant = new MemoryParticipant()
  participant.requests = [someRequest({ facts: hostileFacts(text) })]
  participant.out = [someLease({ instance: text, imageDigest: text, project: text })]
  participant.made = [
    {
      id: text,
      decision: 'approved',
      role: 'client',
      instance: text,
      imageDigest: text,
      decidedAt: 0,
    },
  ]
  participant.changes = { network: text }
  participant.note(text, [[text, text]], Number.NaN)
  participant.broken = { line: 1, reason: text }
  return participant
}

describeInChromium('web/hostile: text', () => {
  it('shows markup as text: no script runs, no element appears, nothing is asked for', async () => {
    const participant = hostileParticipant(MARKUP)
    const server = await servePageForTest(participant)
    const tab = await openTab()
    const { page } = tab
    await signIn(tab, server)
    await page.getByText('broken at entry 1').waitFor()
    await page.getByRole('button', { name: /^Approve … a client/ }).click()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Withdraw …' }).click()
    expect(await page.evaluate('globalThis.pwned')).toBeUndefined()
    const foreign = 'main :is(img, script, svg, a, link, iframe), dialog :is(img, script, svg, a)'
    expect(await page.locator(foreign).count()).toBe(0)
    expect(await page.locator('#pending').innerText()).toContain('<img src=x onerror=')
    expectCalm(tab, server)
  })

  it('writes out what is invisible or turns text round, and marks letters that look alike', async () => {
    const participant = new MemoryParticipant()
    const args = [
      'a\u202egpj.exe',
      'zero\u200bwidth',
      'nul\u0000bell\u0007esc\u001b[31m',
      'line\nfeed\r\ttab',
      'no\u00a0break',
      'z\u0335\u0336algo',
      'blank\u3164filler',
      'tag\u{e0041}',
      'аdmin',
      'שלום a',
      '',
    ]
    participant.requests = [someRequest({ facts: someFacts({ args }) })]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    const shown = tab.page.locator('#pending dt:text-is("Arguments") + dd li .text')
    expect(await shown.allTextContents()).toEqual([
      'a\\u{202e}gpj.exe',
      'zero\\u{200b}width',
      'nul\\u{0}bell\\u{7}esc\\u{1b}[31m',
      'line\\u{a}feed\\u{d}\\u{9}tab',
      'no\\u{a0}break',
      'z\\u{335}\\u{336}algo',
      'blank\\u{3164}filler',
      'tag\\u{e0041}',
      'аdmin',
      'שלום a',
      '(empty)',
    ])
    expect(await shown.nth(8).locator('.foreign').allTextContents()).toEqual(['а'])
    // Letters written from right to left stand where they are in the text.
    const boxes = await Promise.all(
      (await shown.nth(9).locator('.foreign').all()).map((letter) => letter.boundingBox()),
    )
    const places = boxes.map((box) => box?.x ?? 0)
    expect(places).toEqual([...places].sort((one, other) => one - other))
    expectCalm(tab, server)
  })

  it('stays usable with 10 kB in every field, at 320 px too', async () => {
    const participant = hostileParticipant('W'.repeat(10_000))
    const server = await servePageForTest(participant)
    const tab = await openTab({ viewport: { width: 320, height: 640 } })
    const { page } = tab
    await signIn(tab, server)
    await page.getByText('broken at entry 1').waitFor()
    const width = 'document.documentElement.scrollWidth'
    expect(await page.evaluate(width)).toBe(320)
    await page.getByRole('button', { name: /^Approve … a client/ }).click()
    const yes = page.locator('#decide-yes')
    // What one answers with is in sight, however long the question is.
    const box = await yes.boundingBox()
    expect(box && box.y + box.height).toBeLessThanOrEqual(640)
    await yes.click()
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(participant.asked).toHaveLength(1)
    expectCalm(tab, server)
  })

  it('has a browser that refuses markup even where a script tried it (Trusted Types, CSP)', async () => {
    const server = await servePageForTest(new MemoryParticipant())
    const tab = await openTab()
    await signIn(tab, server)
    const attempt = `(() => { try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch (error) { return error.name } })()`
    expect(await tab.page.evaluate(attempt)).toBe('TypeError')
    const load = `new Promise((resolve) => { const image = new Image(); image.onload = image.onerror = (event) => resolve(event.type); image.src = 'http://127.0.0.1:9/x.png' })`
    expect(await tab.page.evaluate(load)).toBe('error')
    expect(tab.problems.join()).toMatch(/Content Security Policy/)
  })
})

describeInChromium('web/hostile: other pages', () => {
  // Another port of the same host is the same site to a cookie; another name is another site.
  it.each(['127.0.0.1', 'localhost'])('cannot decide, read or frame from %s', async (host) => {
    const participant = new MemoryParticipant()
    const request = someRequest()
    participant.requests = [request]
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    const body = JSON.stringify({ id: request.id, seen: seenOf(request) })
    const evil = await serveText(`<!doctype html>
      <form id=form method=post enctype="text/plain" action="${server.base}/web/approve" target=target>
        <input name='${body.slice(0, -1)},"x":"' value='"}'>
      </form>
      <iframe name=target></iframe><iframe id=frame src="${server.base}/"></iframe>`)
    const other = await tabIn(tab.context)
    await other.page.goto(`http://${host}:${evil}/`)
    const outcome = await other.page.evaluate(`(async () => {
      const target = ${JSON.stringify(server.base)}, body = ${JSON.stringify(body)}
      const headers = { 'content-type': 'application/json' }
      const tries = [
        () => fetch(target + '/web/approve', { method: 'POST', credentials: 'include', headers, body }),
        () => fetch(target + '/web/approve', { method: 'POST', credentials: 'include', mode: 'no-cors', body }),
        () => fetch(target + '/web/state', { credentials: 'include' }),
        () => fetch(target + '/web/state', { credentials: 'include', mode: 'no-cors' }),
        () => fetch(target + '/web/login', { method: 'POST', headers, body: '{}' }),
      ]
      const outcome = []
      for (const attempt of tries) {
        outcome.push(await attempt().then((answer) => answer.type + answer.status, () => 'blocked'))
      }
      document.querySelector('#form').submit()
      navigator.sendBeacon(target + '/web/withdraw', new Blob(['{"confirm":"withdraw alice"}'], { type: 'text/plain' }))
      await new Promise((resolve) => setTimeout(resolve, 500))
      return outcome
    })()`)
    // Opaque answers tell nothing; the guard behind them has said no.
    expect(outcome).toEqual(['blocked', 'blocked', 'blocked', 'blocked', 'blocked'])
    expect(participant.asked).toEqual([])
    const framed = other.page.frames().filter((frame) => frame.url().startsWith(server.base))
    expect(framed.filter((frame) => frame.url() !== 'chrome-error://chromewebdata/')).toEqual([])
    await tab.page.reload()
    await tab.page.getByText('A client asks for your share').waitFor()
  })

  it('cannot use the cookie, which every port of this host gets, without the key', async () => {
    const participant = new MemoryParticipant()
    const server = await servePageForTest(participant)
    const tab = await openTab()
    await signIn(tab, server)
    const [cookie] = await tab.context.cookies()
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' })
    expect(await tab.page.evaluate('document.cookie')).toBe('')
    const headers = { cookie: `${cookie?.name}=${cookie?.value}` }
    expect((await fetch(`${server.base}/web/state`, { headers })).status).toBe(401)
  })
})

async function serveText(html: string): Promise<number> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(html)
  })
  await new Promise<void>((resolve) => server.listen(0, resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}
