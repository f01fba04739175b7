// A small DNS server on loopback that answers SRV questions over UDP as a test wants it, wrongly too.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

export interface SrvRecord {
  readonly priority: number
  readonly weight: number
  readonly port: number
  /** A name, without the final dot; '' is the root. */
  readonly target: string
}

/** What to answer: records; a response code (RFC 1035 section 4.1.1); raw bytes; or nothing at all. */
export type DnsAnswer = readonly SrvRecord[] | { readonly rcode: number } | Buffer | 'silence'

export interface DnsServer {
  /** For `servers`. */
  readonly address: string
  readonly port: number
  /** Names asked for, in order. */
  readonly asked: string[]
}

/** Serves until the running test ends. */
export async function dnsServer(answer: (name: string) => DnsAnswer): Promise<DnsServer> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  onTestFinished(() => void socket.close())
  const asked: string[] = []
  socket.on('message', (query, { address, port }) => {
    const { name, end } = readName(query, 12)
    asked.push(name)
    const question = query.subarray(12, end + 4)
    const chosen = answer(name)
    if (chosen === 'silence') return
    socket.send(Buffer.isBuffer(chosen) ? chosen : reply(query, question, chosen), port, address)
  })
  const { port } = socket.address()
  return { address: `127.0.0.1:${port}`, port, asked }
}

function reply(
  query: Buffer,
  question: Buffer,
  answer: readonly SrvRecord[] | { readonly rcode: number },
): Buffer {
  const records = 'rcode' in answer ? [] : answer
  const header = Buffer.alloc(12)
  query.copy(header, 0, 0, 2)
  // A response, authoritative, recursion desired and available.
  header.writeUInt16BE(0x8580 | ('rcode' in answer ? answer.rcode : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([header, question, ...records.map(srv)])
}

function srv({ priority, weight, port, target }: SrvRecord): Buffer {
  const data = Buffer.concat([Buffer.alloc(6), writeName(target)])
  data.writeUInt16BE(priority, 0)
  data.writeUInt16BE(weight, 2)
  data.writeUInt16BE(port, 4)
  const head = Buffer.alloc(12)
  // The name is the question's, by a pointer (RFC 1035 section 4.1.4).
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(33, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(1, 6)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

function writeName(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.')
  const parts = labels.map((label) =>
    Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]),
  )
  return Buffer.concat([...parts, Buffer.from([0])])
}

function readName(message: Buffer, start: number): { name: string; end: number } {
  const labels: string[] = []
  let at = start
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), end: at + 1 }
}
