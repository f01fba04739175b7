// Servers behind one address: a client whose port changes reaches the node that has its session, wherever the
// balancer sends it; forged, replayed and endless traffic between nodes first.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type {
  DtlsFleetOptions,
  DtlsServer,
  DtlsServerOptions,
  DtlsSocket,
} from '../../src/dtls/index.js'
import { createServer } from '../../src/dtls/index.js'
import { Balancer } from '../support/balancer.js'
import { clientHello, cookieOf } from '../support/dtls-wire.js'
import { FleetPeer, ipv4, KIND } from '../support/fleet-peer.js'
import { waitFor } from '../support/wait.js'
import { exported, sealingKey } from './handing-over.js'
import {
  BOTH,
  dialOpen,
  echo,
  flood,
  freshKey,
  identity,
  nextMessage,
  rawSocket,
  roundTrip,
  VERSIONS,
} from './support.js'

const PEER = 9

interface Node {
  readonly server: DtlsServer
  readonly port: number
  readonly fleetPort: number
}

interface Fleet {
  readonly nodes: readonly Node[]
  readonly key: Buffer
  readonly psk: Buffer
  start(id: number): Promise<Node>
}

const fleetPortOf = (server: DtlsServer): number => server.fleet?.address?.port as number
const sum = (nodes: readonly Node[], of: (server: DtlsServer) => number): number =>
  nodes.reduce((total, { server }) => total + of(server), 0)

async function fleet(
  count: number,
  options: Partial<DtlsServerOptions> = {},
  more: Partial<DtlsFleetOptions> = {},
): Promise<Fleet> {
  const [key, psk, idKey] = [randomBytes(32), freshKey(), randomBytes(16)]
  const nodes: Node[] = []
  const start = async (id: number): Promise<Node> => {
    const { server, port } = await echo({
      psk: { [identity]: psk },
      connectionId: true,
      nodeId: { id, key: idKey },
      fleet: { key, port: 0, host: '127.0.0.1', ...more },
      ...options,
    })
    const node = { server, port, fleetPort: fleetPortOf(server) }
    nodes.push(node)
    const members = nodes.map(({ fleetPort }) => ({ host: '127.0.0.1', port: fleetPort }))
    server.setFleetMembers(members)
    const everybody = (): boolean =>
      nodes.every((each) => (each.server.fleet?.nodes.length ?? 0) >= nodes.length)
    await waitFor('everybody to know everybody', everybody)
    return node
  }
  for (let id = 0; id < count; id += 1) await start(id)
  return { nodes, key, psk, start }
}

/** A process with node 7 that takes node 0's place, as all of `nodes` know. */
async function takingOver({ start }: Fleet, nodes: readonly Node[]): Promise<Node> {
  const heir = await start(7)
  heir.server.takeOverNode(0)
  const knows = ({ server }: Node): boolean =>
    server.fleet?.nodes.find(({ nodeId }) => nodeId === 0)?.at?.port === heir.fleetPort
  await waitFor('everybody to know', () => nodes.every(knows))
  return heir
}

/** One node, and a peer of the test's that it takes for node 9. */
async function nodeAndPeer(
  options: Partial<DtlsServerOptions> = {},
  more: Partial<DtlsFleetOptions> = {},
): Promise<{ node: Node; peer: FleetPeer; psk: Buffer }> {
  const { nodes, key, psk } = await fleet(1, { nodeId: { id: 0 }, ...options }, more)
  const node = nodes[0] as Node
  const peer = await FleetPeer.start(key, PEER)
  peer.send(node.fleetPort, peer.seal(KIND.question, peer.claims([PEER])))
  await waitFor('an answer', () => peer.received.length > 0)
  return { node, peer, psk }
}

/** A record with a connection ID (RFC 9146 section 4) that belongs to nobody: 8 bytes, in the clear. */
function strayRecord(node: number, length = 40): Buffer {
  const record = Buffer.alloc(11 + 8 + 2 + length)
  record.set([25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1])
  record.set([0, node, ...randomBytes(6)], 11)
  record.writeUInt16BE(length, 19)
  return record
}

describe('dtls/fleet, strangers and replays', () => {
  it('noise and messages of another fleet are refused on the inner port', async () => {
    const { node } = await nodeAndPeer()
    const stranger = await FleetPeer.start(randomBytes(32), PEER)
    for (let at = 0; at < 50; at += 1) {
      stranger.send(node.fleetPort, randomBytes(at))
      stranger.send(node.fleetPort, stranger.seal(KIND.announcement, stranger.claims([7])))
    }
    await waitFor('them to be counted', () => node.server.stats.dropped.forwardForged === 100)
    expect(node.server.fleet?.nodes.map(({ nodeId }) => nodeId)).toEqual([0, PEER])
  })

  it('a message that is cut, altered, repeated, old or for another node does nothing', async () => {
    const { node, peer, psk } = await nodeAndPeer()
    const client = await dialOpen({
      port: node.port,
      psk: { identity, key: psk },
      connectionId: true,
    })
    const { stats } = node.server
    const sealing = { to: 0, address: ipv4('192.0.2.7', 5_000) }
    const good = peer.seal(KIND.toOwner, strayRecord(0), sealing)
    const altered = Buffer.from(good)
    altered[40] = (altered[40] as number) ^ 1
    for (let length = 1; length < good.length; length += 7) {
      peer.send(node.fleetPort, good.subarray(0, length))
    }
    peer.send(node.fleetPort, altered)
    for (let copy = 0; copy < 3; copy += 1) peer.send(node.fleetPort, good)
    const time = Date.now() / 1_000 - 40
    peer.send(node.fleetPort, peer.seal(KIND.toOwner, strayRecord(0), { ...sealing, time }))
    peer.send(node.fleetPort, peer.seal(KIND.toOwner, strayRecord(0), { ...sealing, to: 3 }))
    peer.send(node.fleetPort, peer.seal(KIND.toOwner, strayRecord(0), { to: 0 }))
    peer.send(node.fleetPort, peer.seal(KIND.toClient, strayRecord(0), { ...sealing, to: 3 }))
    await waitFor('the last', () => node.server.stats.dropped.forwardMisdirected === 2)
    expect(node.server.stats.dropped).toMatchObject({
      forwardForged: stats.dropped.forwardForged + Math.ceil((good.length - 1) / 7) + 1,
      forwardReplayed: 2,
      forwardStale: 1,
      unknownConnectionId: 2, // the node that it names may have been this one until now
    })
    expect(node.server.stats).toMatchObject({
      receivedForwarded: 2,
      answersRelayed: 0,
      sessions: 1,
    })
    await roundTrip(client)
  })

  it('what another node sent is never sent on, whatever its connection ID says', async () => {
    const { node, peer } = await nodeAndPeer()
    const before = peer.received.length
    for (const kind of [KIND.toOwner, KIND.toOwner, KIND.toOwner]) {
      const address = ipv4('192.0.2.7', 5_000)
      peer.send(node.fleetPort, peer.seal(kind, strayRecord(PEER), { to: 0, address }))
    }
    await waitFor('them to be dropped', () => node.server.stats.dropped.unknownConnectionId === 3)
    expect(node.server.stats).toMatchObject({ receivedForwarded: 3, forwarded: 0 })
    const forwards = peer.received.slice(before).filter(({ kind }) => kind === KIND.toOwner)
    expect(forwards).toEqual([])
  })

  it('only records with a connection ID are taken from other nodes: no hello, no plain record', async () => {
    const { node, peer } = await nodeAndPeer()
    const sealing = { to: 0, address: ipv4('127.0.0.1', 5_000) }
    for (const content of [clientHello(), Buffer.from([23, 0xfe, 0xfd]), Buffer.from([25])]) {
      peer.send(node.fleetPort, peer.seal(KIND.toOwner, content, sealing))
    }
    await waitFor('them to be dropped', () => node.server.stats.dropped['malformed'] === 3)
    expect(node.server.stats).toMatchObject({ helloVerifyRequests: 0, sessions: 0 })
  })

  it('a node that nobody knows gets nothing, and a flood no more than forwardLimit', async () => {
    const limit = 100
    const { node: one } = await nodeAndPeer({}, { forwardLimit: limit })
    const stranger = await rawSocket()
    const began = performance.now()
    await flood(stranger, one.port, 2_000, (index) => strayRecord(index % 2 === 0 ? PEER : 77))
    const handled = ({ forwarded, dropped }: DtlsServer['stats']): number =>
      forwarded + dropped.unknownNode + dropped.forwardLimit
    await waitFor('the flood', () => handled(one.server.stats) > 1_000)
    const { forwarded, dropped } = one.server.stats
    const most = limit / 10 + (limit * (performance.now() - began)) / 1_000
    expect(forwarded).toBeGreaterThan(0)
    expect(forwarded).toBeLessThanOrEqual(Math.ceil(most))
    expect(dropped.forwardLimit).toBeGreaterThan(0)
    expect(dropped.unknownNode).toBeGreaterThan(400)
  })
})

describe('dtls/fleet, bytes (docs/FLEET.md)', () => {
  it('a stray record goes to the node that its ID names, with the address of its client', async () => {
    const { node, peer } = await nodeAndPeer()
    const stranger = await rawSocket()
    const record = strayRecord(PEER)
    stranger.send(record, node.port, '127.0.0.1')
    const forwarded = () => peer.received.find(({ kind }) => kind === KIND.toOwner)
    await waitFor('it', () => forwarded() !== undefined)
    expect(forwarded()).toMatchObject({
      to: PEER,
      from: 0,
      thread: 0,
      address: ipv4('127.0.0.1', stranger.address().port),
      content: record,
    })
    const heard = once(stranger, 'message')
    const answer = Buffer.from('an answer of the other node')
    const address = forwarded()?.address as Buffer
    peer.send(node.fleetPort, peer.seal(KIND.toClient, answer, { to: 0, address }))
    expect((await heard)[0]).toEqual(answer)
  })

  it('an announcement has node IDs and when they were claimed; the newest claim holds', async () => {
    const { node, peer } = await nodeAndPeer()
    const [told] = peer.received
    expect(told).toMatchObject({ kind: KIND.announcement, from: 0 })
    expect(told?.content.readUInt32BE(0)).toBe(0)
    expect(Math.abs((told?.content.readUIntBE(4, 6) ?? 0) - Date.now())).toBeLessThan(60_000)
    const nodeOf = (nodeId: number) =>
      node.server.fleet?.nodes.find((each) => each.nodeId === nodeId)?.at
    // An older claim of this node's own ID is not believed, a newer one is.
    peer.send(node.fleetPort, peer.seal(KIND.announcement, peer.claims([0, 5], 1_000)))
    await waitFor('node 5', () => nodeOf(5) !== undefined)
    expect(nodeOf(0)).toBeNull()
    peer.send(node.fleetPort, peer.seal(KIND.announcement, peer.claims([0], Date.now() + 1_000)))
    await waitFor('node 0', () => nodeOf(0) !== null)
    expect(nodeOf(0)).toEqual({ host: '127.0.0.1', port: peer.port })
  })

  it('connection IDs name the node behind the first byte', async () => {
    const { node, psk } = await nodeAndPeer({ nodeId: { id: 0x0102, bytes: 2, configRotation: 5 } })
    const { connectionId } = await dialOpen({
      port: node.port,
      psk: { identity, key: psk },
      connectionId: true,
    })
    expect(connectionId?.remote.subarray(1, 3)).toEqual(Buffer.from([1, 2]))
    expect((connectionId?.remote[0] as number) >> 5).toBe(5)
  })
})

describe('dtls/fleet behind a balancer that knows nothing', () => {
  it.each([
    [1, 'DTLSv1.2'],
    [2, 'DTLSv1.2'],
    [2, 'DTLSv1.3'],
  ] as const)(
    'clients that change ports stay in their sessions, %i I/O threads, %s',
    async (ioThreads, minVersion) => {
      if (ioThreads > 1 && process.platform !== 'linux') return
      const { nodes, psk } = await fleet(3, { ioThreads, maxVersion: 'DTLSv1.3' })
      const balancer = await Balancer.start(nodes.map(({ port }) => port))
      const clients = await Promise.all(
        Array.from({ length: 6 }, () =>
          dialOpen({
            ...{ port: balancer.port, psk: { identity, key: psk } },
            ...{ connectionId: true, minVersion },
          }),
        ),
      )
      // A client of DTLS 1.3 is open before its Finished arrives, and what comes from another port before that is dropped.
      const completed = () => sum(nodes, ({ stats }) => stats.handshakesCompleted)
      await waitFor('the servers to be open too', () => completed() === clients.length)
      for (let move = 0; move < 6; move += 1) {
        if (move % 2 === 1) balancer.choose = (client) => (client + move) % 3
        await balancer.move()
        await Promise.all(clients.map((client, index) => roundTrip(client, `${index}, ${move}`)))
      }
      expect(completed()).toBe(clients.length)
      expect(sum(nodes, ({ stats }) => stats.sessions)).toBe(clients.length)
      // An I/O thread tells its figures after it has sent: the last answer may be here before they are.
      const total = (
        of: 'forwarded' | 'receivedForwarded' | 'answersForwarded' | 'answersRelayed',
      ) => sum(nodes, ({ stats }) => stats[of])
      expect(total('forwarded')).toBeGreaterThan(0)
      await waitFor('what arrived', () => total('receivedForwarded') === total('forwarded'))
      await waitFor('its answers', () => total('answersRelayed') === total('answersForwarded'))
      expect(sum(nodes, ({ stats }) => stats.dropped.unknownConnectionId)).toBe(0)
    },
  )

  it('a cookie of one node is taken by the others (RFC 6347 section 4.2.1)', async () => {
    const { nodes } = await fleet(2)
    const [one, other] = nodes as [Node, Node]
    const stranger = await rawSocket()
    const random = randomBytes(32)
    const ask = async (port: number, hello: Buffer): Promise<Buffer> => {
      const answer = once(stranger, 'message')
      stranger.send(hello, port, '127.0.0.1')
      return (await answer)[0] as Buffer
    }
    const cookie = cookieOf(await ask(one.port, clientHello({ random }))) as Buffer
    expect(cookieOf(await ask(other.port, clientHello({ random, cookie }, 1)))).toBeUndefined()
    expect(other.server.stats.handshakesStarted).toBe(1)
  })

  it.each(VERSIONS)(
    'a node that takes another’s place has its sessions, and what came meanwhile, %s',
    async (minVersion) => {
      const network = await fleet(2, BOTH)
      const { nodes, psk } = network
      const [old, second] = nodes as [Node, Node]
      const balancer = await Balancer.start([old.port])
      const clients: DtlsSocket[] = []
      for (let index = 0; index < 4; index += 1) {
        clients.push(
          await dialOpen({
            ...{ port: balancer.port, psk: { identity, key: psk } },
            ...{ connectionId: true, minVersion },
          }),
        )
      }
      // The keys of both directions are new when the session moves.
      if (minVersion === 'DTLSv1.3') {
        for (const client of clients) await roundTrip(client)
        for (const client of clients) client.updateKeys()
        for (const client of clients) await roundTrip(client)
      }
      const heir = await takingOver(network, [old, second])
      const sealed = await exported(old.server)
      expect(sealed).toHaveLength(clients.length)
      // Nobody has the sessions now. One client comes to the old node, the others to the second and the heir.
      balancer.nodes = [old.port, second.port, heir.port]
      await balancer.move()
      const answers = clients.map((client) => nextMessage(client))
      for (const client of clients) client.send('meanwhile')
      await waitFor('the old one to send on', () => old.server.stats.forwarded > 0)
      await waitFor('the second one too', () => second.server.stats.forwarded > 0)
      expect(await heir.server.importSessions(sealed, { sealingKey })).toMatchObject({
        imported: clients.length,
      })
      for (const answer of await Promise.all(answers)) expect(answer.toString()).toBe('meanwhile')
      await old.server.close({ handover: true })
      balancer.nodes = [heir.port, second.port]
      await balancer.move()
      await Promise.all(clients.map((client) => roundTrip(client)))
      expect(heir.server.stats).toMatchObject({ sessions: clients.length, handshakesStarted: 0 })
    },
  )
})

describe('dtls/fleet, between two nodes', () => {
  // The balancer takes answers from the node that it sent to, and from no other.
  it.each(VERSIONS)(
    'answers where the client was heard last, though a message was overtaken on the way, %s',
    async (minVersion) => {
      const network = await fleet(2, BOTH)
      const { nodes, psk } = network
      const [old, second] = nodes as [Node, Node]
      const balancer = await Balancer.start([old.port, second.port])
      balancer.choose = () => 0
      const client = await dialOpen({
        port: balancer.port,
        psk: { identity, key: psk },
        connectionId: true,
        minVersion,
      })
      if (minVersion === 'DTLSv1.3') await roundTrip(client)
      const heir = await takingOver(network, [old, second])
      // By the second node to the heir, which has no session yet, ...
      balancer.choose = () => 1
      await balancer.move()
      const overtaken = nextMessage(client)
      client.send('overtaken')
      await waitFor('it to arrive', () => heir.server.stats.receivedForwarded === 1)
      // ... and what follows to the old node, which has: the old node's address of the client is the newest.
      balancer.choose = () => 0
      await balancer.move()
      client.send('newest')
      expect((await overtaken).toString()).toBe('newest')
      const answer = nextMessage(client)
      const sealed = await exported(old.server)
      await heir.server.importSessions(sealed, { sealingKey })
      expect((await answer).toString()).toBe('overtaken')
    },
  )
})

describe('dtls/fleet options', () => {
  const key = randomBytes(32)
  const bad: readonly (readonly [string, Partial<DtlsServerOptions>, string])[] = [
    ['a nodeId without connectionId', { nodeId: { id: 1 } }, 'MCBN_OPTION_CONFLICT'],
    ['IDs too short', { connectionId: 5, nodeId: { id: 1 } }, 'MCBN_OPTION_CONFLICT'],
    ['IDs too long', { connectionId: 21, nodeId: { id: 1 } }, 'MCBN_OPTION_CONFLICT'],
    [
      'a number that does not fit',
      { connectionId: true, nodeId: { id: 256 } },
      'MCBN_OPTION_RANGE',
    ],
    ['no number', { connectionId: true, nodeId: {} as never }, 'MCBN_OPTION_TYPE'],
    [
      'a key too short',
      { connectionId: true, nodeId: { id: 1, key: Buffer.alloc(15) } },
      'MCBN_OPTION_RANGE',
    ],
    [
      'more threads than an ID can name',
      { connectionId: true, nodeId: { id: 1 }, ioThreads: 33 },
      'MCBN_OPTION_CONFLICT',
    ],
    [
      'a fleet without nodeId',
      { connectionId: true, fleet: { key, port: 1 } },
      'MCBN_OPTION_CONFLICT',
    ],
    [
      'a fleet key too short',
      { connectionId: true, nodeId: { id: 1 }, fleet: { key: key.subarray(1), port: 1 } },
      'MCBN_OPTION_RANGE',
    ],
    [
      'a name for an address',
      {
        connectionId: true,
        nodeId: { id: 1 },
        fleet: { key, port: 1, members: [{ host: 'node.example', port: 1 }] },
      },
      'MCBN_OPTION_RANGE',
    ],
    [
      'an unknown field',
      { connectionId: true, nodeId: { id: 1, lenght: 2 } as never },
      'MCBN_OPTION_UNKNOWN',
    ],
  ]

  it.each(bad)('refuses %s', (_, options, code) => {
    expect(() => createServer({ psk: {}, ...options })).toThrow(expect.objectContaining({ code }))
  })

  it('a server without a fleet has none to change', () => {
    const server = createServer({ psk: {} })
    expect(server.fleet).toBeNull()
    const conflict = expect.objectContaining({ code: 'MCBN_OPTION_CONFLICT' })
    expect(() => server.setFleetMembers([])).toThrow(conflict)
    expect(() => server.takeOverNode(1)).toThrow(conflict)
  })
})
