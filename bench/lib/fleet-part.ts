// The parts of bench/dtls-fleet.ts, each in its own process that is told what to do by messages.
//
//   node <host> <id> <fleetKey> <nodeIdKey>    a server that echoes
//   balancer <host> <moveEvery> <hash|stay>    gives each client another port every so many datagrams, and by it
//                                              a node; `stay`: another port, but the same node
//   clients <host> <count> <perSecond>         of a balancer at `host`; 0: each sends its next message when the
//                                              last has come back

import { createHash } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import * as dtls from '../../src/dtls/index.js'
import { BUFFER_BYTES, IDENTITY, KEY } from './credentials.js'

const [role, host = '', ...args] = process.argv.slice(2)
const MESSAGE_BYTES = 64
const OPENING = 50
/** How long answers to a port that a client had are still taken. */
const LINGER_MS = 2_000
const buffers = { recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES }

/** Calls the method that a message names, and answers with what it gives. */
function serve(methods: Record<string, (given: never) => unknown>): void {
  process.on('message', async ({ id, call, given }: { id: number; call: string; given: never }) => {
    process.send?.({ id, result: await methods[call]?.(given) })
  })
  process.on('disconnect', () => process.exit(0))
}

function node([id = '0', key = '', idKey = '']: readonly string[]): void {
  const server = dtls.createServer(
    {
      psk: { [IDENTITY]: KEY },
      connectionId: true,
      nodeId: { id: Number(id), key: Buffer.from(idKey, 'hex') },
      fleet: { key: Buffer.from(key, 'hex'), port: 0, host },
      ...buffers,
    },
    (socket) => socket.on('message', (message) => socket.send(message)),
  )
  server.on('clientError', () => {})
  server.listen(0, host)
  serve({
    ports: () =>
      new Promise((resolve) => {
        const tell = (): void =>
          resolve({ port: server.address()?.port, fleetPort: server.fleet?.address?.port })
        if (server.listening) tell()
        else server.once('listening', tell)
      }),
    members: (members: readonly dtls.DtlsFleetMember[]) => server.setFleetMembers(members),
    takeOver: (nodeId: number) => server.takeOverNode(nodeId),
    where: (nodeId: number) =>
      server.fleet?.nodes.find((each) => each.nodeId === nodeId)?.at?.port ?? 0,
    export: async (sealingKey: Uint8Array) => {
      const sealed: Uint8Array[] = []
      for await (const each of server.exportSessions({ sealingKey })) sealed.push(each)
      return sealed
    },
    import: ({ sealed, sealingKey }: { sealed: Uint8Array[]; sealingKey: Uint8Array }) =>
      server.importSessions(sealed, { sealingKey }),
    stats: () => ({ ...server.stats, processor: process.cpuUsage() }),
    close: () => server.close({ handover: true }),
  })
}

interface Flow {
  back: Socket | undefined
  node: number
  passed: number
  number: number
  waiting: Buffer[]
}

function balancer([moveEvery = '10', how = 'hash']: readonly string[]): void {
  const front = createSocket({ type: 'udp4', ...buffers })
  const flows = new Map<number, Flow>()
  let nodes: dtls.DtlsFleetMember[] = []
  let moves = 0
  const hashed = (port: number, turn: number): number =>
    createHash('sha256').update(`${port} ${turn}`).digest().readUInt32BE(0) % nodes.length
  const move = (client: number, flow: Flow): void => {
    const before = flow.back
    if (before) setTimeout(() => before.close(), LINGER_MS)
    flow.passed = 0
    flow.number += 1
    flow.back = undefined
    moves += 1
    if (how === 'hash' || flow.number === 1) flow.node = hashed(client, flow.number)
    const { number } = flow
    const back = createSocket('udp4')
    back.on('error', () => {})
    back.on('message', (answer) => front.send(answer, client, host))
    const to = nodes[flow.node] as dtls.DtlsFleetMember
    // What another node sends does not come in, as with connection tracking.
    back.connect(to.port, to.host, () => {
      // Moved on before it was connected: perhaps its node is about to close.
      if (flow.number !== number) return back.close()
      flow.back = back
      for (const datagram of flow.waiting.splice(0)) back.send(datagram)
    })
  }
  front.on('message', (datagram, { port }) => {
    let flow = flows.get(port)
    if (!flow) {
      flow = { back: undefined, node: 0, passed: 0, number: 0, waiting: [] }
      flows.set(port, flow)
      move(port, flow)
    }
    // Handshakes (epoch 0, and records without an ID) stay where they began.
    const movable = datagram[0] === 25
    if (movable && ++flow.passed > Number(moveEvery) && flow.back) move(port, flow)
    if (flow.back) flow.back.send(datagram)
    else flow.waiting.push(datagram)
  })
  front.bind(0, host)
  serve({
    port: () =>
      new Promise((resolve) => {
        const tell = (): void => resolve(front.address().port)
        try {
          tell()
        } catch {
          front.once('listening', tell)
        }
      }),
    nodes: (given: dtls.DtlsFleetMember[]) => {
      const replaced = nodes.length > 0
      nodes = given
      if (replaced) for (const [client, flow] of flows) move(client, flow)
    },
    moves: () => moves,
  })
}

function clients([count = '0', perSecond = '0']: readonly string[]): void {
  const sockets: dtls.DtlsSocket[] = []
  const rate = Number(perSecond)
  let [sent, heard, twice, ended, stopped] = [0, 0, 0, 0, false]
  const seen: Set<number>[] = []
  /** When messages were sent that did not come back, in seconds since the start; 10 of them at most. */
  const missing = (): number[] => {
    if (rate === 0) return []
    const lost: number[] = []
    for (let number = 0; number < sent && lost.length < 10; number += 1) {
      if (!seen[number % sockets.length]?.has(number)) lost.push(number / rate)
    }
    return lost
  }
  const send = (index: number): void => {
    const message = Buffer.alloc(MESSAGE_BYTES)
    message.writeUInt32BE(sent, 0)
    sent += 1
    sockets[index]?.send(message)
  }
  serve({
    open: async (port: number) => {
      while (sockets.length < Number(count)) {
        const some = Array.from(
          { length: Math.min(OPENING, Number(count) - sockets.length) },
          () =>
            dtls.connect({
              host,
              port,
              psk: { identity: IDENTITY, key: KEY },
              connectionId: true,
              handshakeTimeout: 60_000,
              recvBufferSize: 1 << 18,
            }).opened,
        )
        sockets.push(...(await Promise.all(some)))
      }
      for (const [index, socket] of sockets.entries()) {
        seen[index] = new Set()
        socket.on('close', () => (ended += 1))
        socket.on('message', (message) => {
          const number = message.readUInt32BE(0)
          heard += 1
          if (rate > 0 && seen[index]?.has(number)) twice += 1
          if (rate > 0) seen[index]?.add(number)
          else if (!stopped) send(index)
        })
      }
      return sockets.length
    },
    start: () => {
      if (rate === 0) {
        for (const index of sockets.keys()) send(index)
        return
      }
      const began = performance.now()
      let next = 0
      const timer = setInterval(() => {
        if (stopped) return clearInterval(timer)
        const due = Math.floor(((performance.now() - began) / 1_000) * rate)
        for (; next < due; next += 1) send(next % sockets.length)
      }, 2)
    },
    stop: () => {
      stopped = true
    },
    report: () => ({ sent, heard, twice, ended, missing: missing() }),
  })
}

if (role === 'node') node(args)
else if (role === 'balancer') balancer(args)
else clients(args)
