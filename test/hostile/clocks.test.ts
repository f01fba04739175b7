// Somebody sets the wall clock of a machine by hours, back and forth, under sessions, handshakes and cookies: a
// real clock of a real process (libfaketime). Nothing ends that should not, and nothing lives longer than it should.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { dialOpen, freshKey, identity, rawSocket, roundTrip } from '../dtls/support.js'
import { DtlsPeer } from '../support/dtls-peer.js'
import { clientHello, cookieOf, MESSAGE, recordsOf } from '../support/dtls-wire.js'
import { FleetPeer, KIND } from '../support/fleet-peer.js'
import { type Child, startTypescript } from '../support/process.js'
import { seeded, seededBytes } from '../support/random.js'
import { canStepClocks, HOUR_MS, SteppedClock } from '../support/stepped-clock.js'
import { waitFor } from '../support/wait.js'

const HOURS = [-6, 6, -48] as const

/** A process with a server, and its clock. */
class Machine {
  readonly key = freshKey()
  readonly #clock = new SteppedClock()
  readonly #child: Child
  port = 0

  private constructor(options: object, hours: number) {
    this.#clock.set(hours)
    this.#child = startTypescript(
      'test/hostile/children/clock-peer.ts',
      [this.key.toString('hex'), JSON.stringify(options)],
      { env: this.#clock.env },
    )
  }

  /** @param hours - by which its clock is ahead from the begin on. */
  static async start(options: object = {}, hours = 0): Promise<Machine> {
    const machine = new Machine(options, hours)
    const [, port] = await machine.#child.output(/^\{"port":(\d+)\}$/m)
    machine.port = Number(port)
    return machine
  }

  get psk() {
    return { identity, key: this.key }
  }

  /** Until the process itself sees it. */
  async setClock(hours: number): Promise<void> {
    this.#clock.set(hours)
    await waitFor('the new time', async () => {
      const { clock } = (await this.#ask('clock')) as { clock: number }
      return Math.abs(clock - Date.now() - hours * HOUR_MS) < HOUR_MS / 2
    })
  }

  async stats(): Promise<{ sessions: number; dropped: Record<string, number> }> {
    return ((await this.#ask('stats')) as { stats: never }).stats
  }

  async fleet(): Promise<{ address: { port: number }; nodes: { nodeId: number }[] }> {
    return ((await this.#ask('fleet')) as { fleet: never }).fleet
  }

  connect(port: number): void {
    this.#child.write(`connect ${port}\n`)
  }

  async said(pattern: RegExp): Promise<void> {
    await this.#child.output(pattern)
  }

  async #ask(command: string): Promise<object> {
    const before = this.#child.stdout.length
    this.#child.write(`${command}\n`)
    const line = new RegExp(`^\\{"${command}":.*\\}$`, 'm')
    const [answer] = await waitFor(command, () => this.#child.stdout.slice(before).match(line))
    return JSON.parse(answer)
  }
}

describe.skipIf(!canStepClocks())('hostile/clocks', () => {
  it('open sessions live on, whatever the server’s clock says, and new ones open', async () => {
    const machine = await Machine.start({ idleTimeout: 600_000, connectionId: true })
    const old = await dialOpen({ port: machine.port, psk: machine.psk, connectionId: true })
    for (const hours of HOURS) {
      await machine.setClock(hours)
      await roundTrip(old)
      await roundTrip(await dialOpen({ port: machine.port, psk: machine.psk }))
    }
    expect(old.stats.recordsDropped).toBe(0)
  })

  it('a clock that is put back does not prolong an idle session, nor a handshake that waits', async () => {
    const machine = await Machine.start({ idleTimeout: 1_500, handshakeTimeout: 1_500 })
    await dialOpen({ port: machine.port, psk: machine.psk })
    const stranger = await DtlsPeer.create({
      ...machine.psk,
      identity: Buffer.from(identity),
      port: machine.port,
    })
    await stranger.hello()
    await machine.setClock(-6)
    await machine.said(/"closed":"idle"/)
    await waitFor('the end of both', async () => (await machine.stats()).sessions === 0)
  })

  it.each(HOURS)(
    'a server repeats its flight by its own time, %i hours later by the clock (RFC 6347 section 4.2.4)',
    async (hours) => {
      const machine = await Machine.start({ retransmitTimeout: 300 })
      const peer = await DtlsPeer.create({
        ...machine.psk,
        identity: Buffer.from(identity),
        port: machine.port,
      })
      await peer.hello()
      const answers = () =>
        peer.received.filter(
          ({ epoch, fragment }) => epoch === 0 && fragment[0] === MESSAGE.serverHello,
        )
      await machine.setClock(hours)
      const before = answers().length
      await waitFor('two repeats', () => answers().length >= before + 2)
      peer.send(Buffer.concat(peer.makeLastFlight()))
      await waitFor('the server’s Finished', () => peer.finished)
    },
  )

  it.each(HOURS)('a client repeats its hello, %i hours later by the clock', async (hours) => {
    const machine = await Machine.start()
    const deaf = await rawSocket()
    const hellos: Buffer[] = []
    deaf.on('message', (datagram) => hellos.push(datagram))
    machine.connect(deaf.address().port)
    await waitFor('a hello', () => hellos.length > 0)
    await machine.setClock(hours)
    const before = hellos.length
    await waitFor('two more', () => hellos.length >= before + 2)
    expect(recordsOf(hellos.at(-1) as Buffer)[0]?.fragment[0]).toBe(MESSAGE.clientHello)
  })

  it('a cookie from before the step is answered with another one, which opens a handshake', async () => {
    const machine = await Machine.start()
    const stranger = await rawSocket()
    const random = seededBytes(seeded(1), 32)
    const ask = async (cookie?: Buffer): Promise<Buffer> => {
      const answered = once(stranger, 'message')
      const hello = clientHello({ random, ...(cookie && { cookie }) }, cookie ? 1 : 0)
      stranger.send(hello, machine.port, '127.0.0.1')
      return (await answered)[0] as Buffer
    }
    let cookie = cookieOf(await ask()) as Buffer
    for (const hours of HOURS) {
      await machine.setClock(hours)
      const fresh = cookieOf(await ask(cookie))
      expect(fresh).not.toEqual(cookie)
      cookie = fresh as Buffer
    }
    const { sessions, dropped } = await machine.stats()
    expect({ sessions, badCookie: dropped['badCookie'] }).toEqual({ sessions: 0, badCookie: 3 })
    expect(recordsOf(await ask(cookie))[0]?.fragment[0]).toBe(MESSAGE.serverHello)
  })

  it('a fleet’s node whose clock is wrong believes no other node and keeps its sessions; with the right time it is back', async () => {
    const key = randomBytes(32)
    const peer = await FleetPeer.start(key, 9)
    const members = [{ host: '127.0.0.1', port: peer.port }]
    const fleet = { key: key.toString('hex'), idKey: randomBytes(16).toString('hex'), members }
    const machine = await Machine.start({ fleet })
    const session = await dialOpen({ port: machine.port, psk: machine.psk, connectionId: true })
    const { port } = (await machine.fleet()).address
    const tells = (node: number) =>
      peer.send(port, peer.seal(KIND.announcement, peer.claims([node])))
    const knows = async (node: number) =>
      (await machine.fleet()).nodes.some(({ nodeId }) => nodeId === node)

    await machine.setClock(-6)
    tells(1)
    await waitFor('the message to be counted', async () => {
      return (await machine.stats()).dropped['forwardStale'] === 1
    })
    expect(await knows(1)).toBe(false)
    await roundTrip(session)
    // It says what time it has, so that others do the same with what it sends.
    await waitFor('what it tells', () =>
      peer.received.some(({ time }) => time < Date.now() / 1_000 - 3_600),
    )

    await machine.setClock(0)
    tells(2)
    await waitFor('the other node', () => knows(2))
    await roundTrip(session)
  })

  it('a fleet’s node that begins again with a clock that lags has its ID, though another had taken it over', async () => {
    const key = randomBytes(32)
    const peer = await FleetPeer.start(key, 9)
    const members = [{ host: '127.0.0.1', port: peer.port }]
    const fleet = { key: key.toString('hex'), idKey: randomBytes(16).toString('hex'), members }
    // In the time that clocks may be apart (docs/FLEET.md). The other has its ID, 0, for five seconds.
    const taken = Date.now() - 5_000
    const machine = await Machine.start({ fleet }, -20 / 3_600)
    const { port } = (await machine.fleet()).address
    peer.send(port, peer.seal(KIND.announcement, peer.claims([0, 9], taken)))
    await waitFor('the other node', async () =>
      (await machine.fleet()).nodes.some(({ nodeId }) => nodeId === 9),
    )
    const claimed = () =>
      peer.received
        .filter(({ kind }) => kind === KIND.announcement || kind === KIND.question)
        .map(({ content }) => (content.length > 0 ? content.readUIntBE(4, 6) : undefined))
    await waitFor('its own newer claim', () =>
      claimed().some((since) => since !== undefined && since > taken),
    )
    expect(claimed()).not.toContain(undefined)
  })
})
