import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { adminSocketPath, callAdmin, serveAdmin } from '../../../src/consent/participant/admin.js'
import { temporaryFolder } from '../../support/paths.js'
import { policyOf, round, setup } from './fixture.js'

async function admin() {
  const made = setup({ policy: policyOf({}, { approval: 'manual' }) })
  const dir = temporaryFolder()
  const server = await serveAdmin(made.participant, dir, 'http://127.0.0.1:1')
  onTestFinished(() => server.close())
  return { ...made, dir, server }
}

/** What is answered to some bytes; undefined when it hangs up without an answer. */
async function raw(dir: string, bytes: string): Promise<unknown> {
  const socket = connect(adminSocketPath(dir))
  onTestFinished(() => void socket.destroy())
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString()
  })
  socket.on('error', () => undefined)
  socket.write(bytes)
  await once(socket, 'close')
  return text === '' ? undefined : JSON.parse(text)
}

describe('participant/admin', () => {
  it('does what the owner of the folder says', async () => {
    const alice = await admin()
    await round(alice, 'client')
    const status = await callAdmin(alice.dir, 'status', {})
    expect(status).toMatchObject({ url: 'http://127.0.0.1:1', pending: [{ role: 'client' }] })
    const id = status?.pending[0]?.id ?? ''
    expect(await callAdmin(alice.dir, 'approve', { id, seconds: 5 })).toMatchObject({
      id,
      decision: 'approved',
      expiresAt: alice.clock.wall() + 5_000,
    })
    await expect(callAdmin(alice.dir, 'refuse', { id: id.slice(0, 15) })).rejects.toThrow(
      /expected at least 16 hex digits of the id, got 15/,
    )
    expect(await callAdmin(alice.dir, 'refuse', { id: id.slice(0, 16) })).toMatchObject({
      id,
      decision: 'refused',
    })
    expect(await callAdmin(alice.dir, 'withdraw', {})).toEqual(alice.participant.withdrawal)
  })

  it('hands on why something was not done', async () => {
    const { dir } = await admin()
    const unknown = callAdmin(dir, 'approve', { id: 'f'.repeat(16) })
    await expect(unknown).rejects.toThrow(/nothing waits and nothing is decided with the id f{16};/)
    for (const id of ['ffffffff', 'fff', '../..', 'FFFFFFFF']) {
      await expect(callAdmin(dir, 'approve', { id })).rejects.toThrow(
        expect.objectContaining({ code: 'MCBN_OPTION_RANGE' }),
      )
    }
  })

  it.each([
    ['no JSON', 'hello\n'],
    ['no object', '[]\n'],
    ['an unknown command', '{"do":"share"}\n'],
    ['a field too many', '{"do":"status","share":true}\n'],
    ['a wrong number', '{"do":"approve","id":"ffffffff","seconds":-1}\n'],
  ])('refuses %s', async (_, line) => {
    const { dir } = await admin()
    expect(await raw(dir, line)).toMatchObject({ error: { code: 'MCBN_OPTION_RANGE' } })
    expect(await callAdmin(dir, 'status', {})).toBeDefined()
  })

  it('hangs up on who sends no end', async () => {
    const { dir } = await admin()
    expect(await raw(dir, 'x'.repeat(10_000))).toBeUndefined()
  })

  it('knows that nobody runs there', async () => {
    const dir = temporaryFolder()
    expect(await callAdmin(dir, 'status', {})).toBeUndefined()
    const { dir: served, server } = await admin()
    await server.close()
    expect(await callAdmin(served, 'status', {})).toBeUndefined()
  })

  it('takes the place of a socket that was left behind', async () => {
    const dir = temporaryFolder()
    writeFileSync(adminSocketPath(dir), '')
    const server = await serveAdmin(setup().participant, dir)
    expect(await callAdmin(dir, 'status', {})).toMatchObject({ status: { label: 'alice' } })
    await server.close()
  })

  it('says when the path is too long for a socket', async () => {
    const dir = join(temporaryFolder(), 'x'.repeat(100))
    mkdirSync(dir)
    for (const refused of [serveAdmin(setup().participant, dir), callAdmin(dir, 'status', {})]) {
      await expect(refused).rejects.toThrow(
        expect.objectContaining({
          code: 'MCBN_OPTION_RANGE',
          message: expect.stringContaining('shorter'),
        }),
      )
    }
  })
})
