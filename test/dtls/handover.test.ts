// Open sessions that go on in another server, socket or process: docs/SESSIONS.md.

import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { DtlsSocket } from '../../src/dtls/index.js'
import { createServer } from '../../src/dtls/index.js'
import { startTypescript } from '../support/process.js'
import { clients, exported, sealingKey, successor } from './handing-over.js'
import {
  BOTH,
  dial,
  dialOpen,
  echo,
  failureOf,
  freshKey,
  identity,
  LOOPBACK,
  listen,
  roundTrip,
  serve,
  VERSIONS,
} from './support.js'

describe.each(VERSIONS)('dtls/handover of a server on %s', (minVersion) => {
  it.each([
    { how: 'by address', connectionId: undefined, ioThreads: 1 },
    { how: 'by connection ID', connectionId: true, ioThreads: 1 },
    { how: 'by connection ID, on two threads', connectionId: true, ioThreads: 2 },
  ])('goes on with sessions found $how: no handshake, no goodbye', async (setting) => {
    const { how: _, connectionId, ...threads } = setting
    const id = connectionId === undefined ? {} : { connectionId }
    const key = freshKey()
    const options = { psk: { [identity]: { key, peer: 'a pump' } }, ...id, ...threads, ...BOTH }
    const { server: first, port } = await echo<string>(options)
    const sockets = await clients(20, port, key, { ...id, minVersion })
    const served = [...first.sessions]
    const sealed = await exported(first)
    expect(sealed).toHaveLength(20)
    expect(Math.max(...sealed.map(({ length }) => length))).toBeLessThanOrEqual(
      minVersion === 'DTLSv1.2' ? 200 : 300,
    )
    expect([...first.sessions]).toEqual([])
    expect(served.map(({ readyState }) => readyState)).toEqual(Array(20).fill('closed'))
    await first.close({ handover: true })

    const second = await successor<string>(options, port)
    const announced: DtlsSocket<string>[] = []
    second.on('secureConnection', (socket) => announced.push(socket))
    const result = await second.importSessions(sealed, { sealingKey })
    expect(result).toEqual({ imported: 20, refused: 0, reasons: {} })
    expect([...second.sessions]).toEqual(announced)
    for (const socket of announced) {
      expect(socket.peer).toBe('a pump')
      expect(socket.pskIdentity?.toString()).toBe(identity)
      expect(socket.getProtocol()).toBe(minVersion)
      expect(socket.getCipher()).toEqual(sockets[0]?.getCipher())
      expect(socket.maxDatagramSize).toBe(served[0]?.maxDatagramSize || socket.maxDatagramSize)
    }
    for (const socket of sockets) await roundTrip(socket)
    const material = (socket: DtlsSocket<string>): string =>
      socket.exportKeyingMaterial(16, 'EXPORTER-test').toString('hex')
    expect(announced.map(material).sort()).toEqual(
      sockets.map((socket) => material(socket as DtlsSocket<never>)).sort(),
    )
    expect(second.stats.handshakesStarted).toBe(0)
    expect(second.stats.sessions).toBe(20)
  })

  it('refuses what was altered, cut, sealed otherwise, used before or of the other side', async () => {
    const key = freshKey()
    const { server: first, port } = await echo({ psk: { [identity]: key }, ...BOTH })
    const [client] = (await clients(2, port, key, { minVersion })) as [DtlsSocket, DtlsSocket]
    const ofClient = client.exportSession({ sealingKey })
    const [sealed, another] = (await exported(first)) as [Buffer, Buffer]
    await first.close({ handover: true })
    const server = await successor({ psk: { [identity]: key }, ...BOTH }, port)
    const why = async (bytes: Buffer, with_ = sealingKey) =>
      Object.keys((await server.importSessions([bytes], { sealingKey: with_ })).reasons)
    const altered = (at: number, value: (byte: number) => number): Buffer =>
      Buffer.from(sealed.map((byte, index) => (index === at ? value(byte) : byte)))
    expect(await why(altered(100, (byte) => byte ^ 1))).toEqual(['forged'])
    expect(await why(sealed.subarray(0, 50))).toEqual(['forged'])
    expect(await why(Buffer.alloc(0))).toEqual(['forged'])
    expect(await why(randomBytes(200))).not.toEqual([])
    expect(await why(sealed, randomBytes(32))).toEqual(['forged'])
    // A state of one version does not open as the other's; and 3 names nothing.
    expect(await why(altered(0, (byte) => 3 - byte))).toEqual(['forged'])
    expect(await why(altered(0, () => 3))).toEqual(['version'])
    expect(await why(ofClient)).toEqual(['wrongRole'])
    expect(await why(sealed)).toEqual([])
    const [socket] = [...server.sessions] as [DtlsSocket]
    // The place is taken while it is open, and the bytes are used when it is not.
    expect(await why(sealed)).toEqual(['elsewhere'])
    await socket.close()
    await expect.poll(() => server.stats.sessions).toBe(0)
    expect(await why(sealed)).toEqual(['usedBefore'])
    const ciphers = 'PSK-AES128-CCM8:TLS_AES_128_CCM_SHA256'
    const ccm = await serve({ psk: { [identity]: key }, ciphers, ...BOTH })
    const elsewhere = await ccm.server.importSessions([another], { sealingKey })
    expect(elsewhere.reasons).toEqual({ suite: 1 })
  })

  it('refuses a session of a version that is not spoken, and does not use it up', async () => {
    const key = freshKey()
    const { server: first, port } = await echo({ psk: { [identity]: key }, ...BOTH })
    await clients(1, port, key, { minVersion })
    const sealed = await exported(first)
    await first.close({ handover: true })
    const older = [{ maxVersion: 'DTLSv1.2' }] as const
    const newer = [
      { ...BOTH, minVersion: 'DTLSv1.3' },
      { ...BOTH, ciphers: 'TLS_AES_128_GCM_SHA256' },
    ] as const
    for (const rule of minVersion === 'DTLSv1.2' ? newer : older) {
      const only = await successor({ psk: { [identity]: key }, ...rule }, port)
      expect(await only.importSessions(sealed, { sealingKey })).toEqual({
        imported: 0,
        refused: 1,
        reasons: { protocol: 1 },
      })
      await only.close()
    }
    const asked: string[] = []
    const psk = ({ protocol }: { protocol: string }) => {
      asked.push(protocol)
      return key
    }
    const both = await successor({ psk, ...BOTH }, port)
    expect(await both.importSessions(sealed, { sealingKey })).toMatchObject({ imported: 1 })
    expect([...both.sessions][0]?.getProtocol()).toBe(minVersion)
    expect(asked).toEqual([minVersion])
  })
})

describe('dtls/handover of a server', () => {
  it('outlives the process: a child exports and ends, this one goes on', async () => {
    const key = freshKey()
    const child = startTypescript(
      'test/dtls/children/exporting-server.ts',
      [key.toString('hex'), sealingKey.toString('hex')],
      { lifetime: 60_000 },
    )
    const port = Number((await child.output(/^listening (\d+)$/m))[1])
    const sockets = await clients(5, port, key)
    child.write('export\n')
    const sealed = `${(await child.output(/^sealed (\S+)$/m))[1]}`.split(',')
    await child.exited
    const server = await successor({ psk: { [identity]: key } }, port)
    const bytes = sealed.map((text) => Buffer.from(text, 'hex'))
    expect(await server.importSessions(bytes, { sealingKey })).toMatchObject({ imported: 5 })
    for (const socket of sockets) await roundTrip(socket)
  })

  it('asks the lookup whether the identity has a key now, and takes `peer` from it', async () => {
    const key = freshKey()
    const { server: first, port } = await echo({ psk: { [identity]: key, Client2: key } })
    const [kept] = (await clients(1, port, key)) as [DtlsSocket]
    const lost = await dialOpen({ port, psk: { identity: 'Client2', key } })
    await roundTrip(lost)
    const sealed = await exported(first)
    await first.close({ handover: true })
    const asked: string[] = []
    const second = await successor<{ name: string }>(
      {
        psk: async ({ identityText, remoteAddress, protocol }) => {
          asked.push(`${identityText} ${remoteAddress} ${protocol}`)
          if (identityText === 'Client2') throw new Error('the directory is down')
          return { key: freshKey(), peer: { name: 'pump' } }
        },
      },
      port,
    )
    const result = await second.importSessions(sealed, { sealingKey })
    expect(result).toEqual({ imported: 1, refused: 1, reasons: { unknownIdentity: 1 } })
    expect(asked.sort()).toEqual([`Client1 ${LOOPBACK} DTLSv1.2`, `Client2 ${LOOPBACK} DTLSv1.2`])
    expect([...second.sessions].map(({ peer }) => peer)).toEqual([{ name: 'pump' }])
    await roundTrip(kept)
  })

  it('refuses sessions of identities that are unknown, or revoked since', async () => {
    const key = freshKey()
    const { server: first, port } = await echo({ psk: { [identity]: key } })
    await clients(2, port, key)
    const [one, other] = (await exported(first)) as [Buffer, Buffer]
    await first.close({ handover: true })
    const unknown = await successor({ psk: { Client2: key } }, port)
    const reasons = { unknownIdentity: 1 }
    const refused = { imported: 0, refused: 1, reasons }
    expect(await unknown.importSessions([one], { sealingKey })).toEqual(refused)
    unknown.setPsk(identity, key)
    unknown.revoke(identity)
    expect(await unknown.importSessions([one], { sealingKey })).toEqual(refused)
    await unknown.close()
    const asking = await successor({ psk: () => null }, port)
    expect(await asking.importSessions([other], { sealingKey })).toEqual(refused)
    // A refusal does not use the bytes up.
    asking.setPsk(identity, key)
    expect(await asking.importSessions([one, other], { sealingKey })).toMatchObject({ imported: 2 })
  })

  it('keeps to maxSessions, and refuses an ID that would not lead to it', async () => {
    const key = freshKey()
    const options = { psk: { [identity]: key }, connectionId: 8 }
    const { server: first, port } = await echo(options)
    await clients(3, port, key, { connectionId: true })
    const sealed = await exported(first)
    await first.close({ handover: true })
    const shorter = await serve({ ...options, connectionId: 4 })
    expect((await shorter.server.importSessions(sealed, { sealingKey })).reasons).toEqual({
      elsewhere: 3,
    })
    const small = await serve({ ...options, maxSessions: 2 })
    expect(await small.server.importSessions(sealed, { sealingKey })).toEqual({
      imported: 2,
      refused: 1,
      reasons: { limit: 1 },
    })
  })

  it('keeps the sessions that were not asked for, with new sockets and their peers', async () => {
    const key = freshKey()
    const psk = () => ({ key, peer: 'looked up' })
    const { server, port } = await echo<string>({ psk })
    const sockets = await clients(10, port, key)
    const taken: Buffer[] = []
    for await (const sealed of server.exportSessions({ sealingKey })) {
      taken.push(sealed)
      if (taken.length === 4) break
    }
    await expect.poll(() => [...server.sessions].length).toBe(6)
    expect([...server.sessions].map(({ peer }) => peer)).toEqual(Array(6).fill('looked up'))
    expect((await server.importSessions(taken, { sealingKey })).imported).toBe(4)
    for (const socket of sockets) await roundTrip(socket)
  })

  it('sends what was taken before it exports, and loses no message of a stream it cuts', async () => {
    const key = freshKey()
    const { server: first, port } = await serve({ psk: { [identity]: key } }, (socket) => {
      for (let count = 0; count < 100; count += 1) socket.send(`first ${count}`)
    })
    const client = dial({ port, psk: { identity, key } })
    const heard: string[] = []
    client.on('message', (message) => heard.push(message.toString()))
    await expect.poll(() => [...first.sessions].length).toBe(1)
    const [socket] = [...first.sessions] as [DtlsSocket]
    for (let count = 0; count < 50; count += 1) socket.send(`second ${count}`)
    const sealed = await exported(first)
    await first.close({ handover: true })
    const second = createServer({ psk: { [identity]: key } }, (next) => next.send('third'))
    await listen(second, LOOPBACK, port)
    await second.importSessions(sealed, { sealingKey })
    await expect.poll(() => heard.at(-1)).toBe('third')
    expect(heard).toHaveLength(151)
    expect(new Set(heard).size).toBe(151)
    expect(client.stats.recordsDropped).toBe(0)
  })

  it('leaves sessions on OpenSSL’s records where they are', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, records: 'openssl' })
    const [client] = (await clients(1, port, key)) as [DtlsSocket]
    expect(await exported(server)).toEqual([])
    const [socket] = [...server.sessions] as [DtlsSocket]
    expect(() => socket.exportSession({ sealingKey })).toThrow(
      expect.objectContaining({ code: 'MCBN_SESSION_REFUSED' }),
    )
    await roundTrip(client)
  })

  it('says no goodbye when it closes for a handover, and one otherwise', async () => {
    for (const handover of [true, false]) {
      const key = freshKey()
      const { server, port } = await echo({ psk: { [identity]: key } })
      const [client] = (await clients(1, port, key)) as [DtlsSocket]
      await server.close({ handover })
      if (!handover) await client.closed
      else expect(client.readyState).toBe('open')
      const again = await successor({ psk: { [identity]: key } }, port)
      // Nothing comes of a session that nobody has exported.
      if (handover) client.send('anybody?')
      await again.close()
      expect(client.readyState).toBe(handover ? 'open' : 'closed')
    }
  })

  it('refuses wrong arguments before it touches a session', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key } })
    const [client] = (await clients(1, port, key)) as [DtlsSocket]
    const wrong = [
      [{}, 'MCBN_OPTION_TYPE'],
      [{ sealingKey: 'x'.repeat(32) }, 'MCBN_OPTION_TYPE'],
      [{ sealingKey: randomBytes(16) }, 'MCBN_OPTION_RANGE'],
      [{ sealingKey, sealingkey: sealingKey }, 'MCBN_OPTION_UNKNOWN'],
    ] as const
    for (const [options, code] of wrong) {
      const given = options as { sealingKey: Uint8Array }
      const error = expect.objectContaining({ code })
      expect(() => server.exportSessions(given)).toThrow(error)
      await expect(server.importSessions([], given)).rejects.toEqual(error)
      expect(() => client.exportSession(given)).toThrow(error)
    }
    const text = ['session'] as unknown as Uint8Array[]
    await expect(server.importSessions(text, { sealingKey })).rejects.toMatchObject({
      code: 'MCBN_OPTION_TYPE',
    })
    await roundTrip(client)
    await server.close()
    expect(() => server.exportSessions({ sealingKey })).toThrow(
      expect.objectContaining({ code: 'MCBN_SOCKET_CLOSED' }),
    )
  })
})

describe.each(VERSIONS)('dtls/handover of a client on %s', (minVersion) => {
  it.each([
    { how: 'from the same port', connectionId: false },
    { how: 'from any port, with a connection ID', connectionId: true },
  ])('goes on $how, without a handshake', async ({ connectionId }) => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, connectionId, ...BOTH })
    const probe = await dialOpen({ port, psk: { identity, key }, connectionId, minVersion })
    await roundTrip(probe)
    const localPort = [...server.sessions][0]?.remotePort as number
    const sealed = probe.exportSession({ sealingKey })
    expect(sealed.length).toBeLessThanOrEqual(300)
    await probe.closed
    expect(() => probe.send('more')).toThrow(
      expect.objectContaining({ code: 'MCBN_SOCKET_CLOSED' }),
    )
    const again = dial({
      host: undefined as unknown as string,
      psk: { identity, key },
      session: { sealed, sealingKey },
      minVersion,
      ...(connectionId ? {} : { localPort }),
    })
    await again.opened
    expect(again.remotePort).toBe(port)
    expect(again.pskIdentity?.toString()).toBe(identity)
    await roundTrip(again)
    expect(server.stats.handshakesStarted).toBe(1)
    const session = { sealed, sealingKey }
    const twice = dial({ psk: { identity, key }, port, session, minVersion })
    expect((await failureOf(twice)).message).toMatch(/imported it already/)
  })

  it('refuses a session of another identity, or of a server, and says why', async () => {
    const key = freshKey()
    const { server, port } = await echo({ psk: { [identity]: key }, ...BOTH })
    const [client] = (await clients(1, port, key, { minVersion })) as [DtlsSocket]
    const [sealed] = (await exported(server)) as [Buffer]
    const ofServer = await failureOf(
      dial({ port, psk: { identity, key }, session: { sealed, sealingKey }, minVersion }),
    )
    expect(ofServer).toMatchObject({ code: 'MCBN_SESSION_REFUSED' })
    expect(ofServer.message).toMatch(/other side/)
    const own = client.exportSession({ sealingKey })
    const other = dial({
      port,
      psk: { identity: 'Client2', key },
      session: { sealed: own, sealingKey },
      minVersion,
    })
    expect((await failureOf(other)).message).toMatch(/another identity/)
    const version = minVersion === 'DTLSv1.2' ? 'DTLSv1.3' : 'DTLSv1.2'
    const session = { sealed: own, sealingKey }
    const misread = dial({ port, psk: { identity, key }, session, minVersion: version })
    expect((await failureOf(misread)).message).toMatch(/a version of DTLS/)
  })
})
