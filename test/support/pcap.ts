// Recorded traffic as a capture file (libpcap, raw IPv4), made from what a tap has seen: needs no right to
// capture. Checksums are left zero, which readers take as not computed.

import type { Passed } from './tap.js'

const LINKTYPE_RAW = 101
const CLIENT_PORT = 40_000
const TCP = 6
const UDP = 17

/** Bytes of a .pcap file. @param port - the server's, for a reader to tell the protocol by. */
export function pcapOf(passed: readonly Passed[], transport: 'tcp' | 'udp', port: number): Buffer {
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65_535, 16)
  header.writeUInt32LE(LINKTYPE_RAW, 20)
  const next = { client: 1, server: 1 }
  const packets = passed.map(({ from, bytes }, at) => {
    const ports = from === 'client' ? [CLIENT_PORT, port] : [port, CLIENT_PORT]
    const body = transport === 'udp' ? udp(ports, bytes) : tcp(ports, bytes, from, next)
    return packet(at, ip(from, transport === 'udp' ? UDP : TCP, body))
  })
  return Buffer.concat([header, ...packets])
}

function packet(second: number, bytes: Buffer): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt32LE(second + 1, 0)
  header.writeUInt32LE(bytes.length, 8)
  header.writeUInt32LE(bytes.length, 12)
  return Buffer.concat([header, bytes])
}

/** RFC 791 section 3.1. */
function ip(from: Passed['from'], protocol: number, body: Buffer): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt8(0x45, 0)
  header.writeUInt16BE(20 + body.length, 2)
  header.writeUInt8(64, 8)
  header.writeUInt8(protocol, 9)
  header.set([10, 0, 0, from === 'client' ? 1 : 2], 12)
  header.set([10, 0, 0, from === 'client' ? 2 : 1], 16)
  return Buffer.concat([header, body])
}

function udp([source = 0, target = 0]: readonly number[], bytes: Buffer): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt16BE(source, 0)
  header.writeUInt16BE(target, 2)
  header.writeUInt16BE(8 + bytes.length, 4)
  return Buffer.concat([header, bytes])
}

/** RFC 9293 section 3.1: in order and without loss, since a tap has seen it so. */
function tcp(
  [source = 0, target = 0]: readonly number[],
  bytes: Buffer,
  from: Passed['from'],
  next: Record<Passed['from'], number>,
): Buffer {
  const header = Buffer.alloc(20)
  header.writeUInt16BE(source, 0)
  header.writeUInt16BE(target, 2)
  header.writeUInt32BE(next[from], 4)
  header.writeUInt32BE(next[from === 'client' ? 'server' : 'client'], 8)
  header.set([0x50, 0x18], 12)
  header.writeUInt16BE(65_535, 14)
  next[from] += bytes.length
  return Buffer.concat([header, bytes])
}
