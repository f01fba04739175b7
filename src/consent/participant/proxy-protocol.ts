// The PROXY protocol, version 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2): a proxy that carries
// connections and not requests says before the first byte for whom it connects. Read from the proxies of an explicit
// list, and there it has to be: whether a connection begins with such a header is never guessed (section 5).

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { TrustedProxies } from './sources.js'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
/** Signature, version and command, family, length. */
const FIXED_BYTES = 16
/** Addresses take 36 at most; the rest is what proxies add about TLS. */
const MOST_BYTES = 4_096
const LOCAL = 0x20
const PROXY = 0x21
const UNSPECIFIED = 0x00
const TCP4 = 0x11
const TCP6 = 0x21

/** What a header says. */
export interface ProxyHeader {
  /** Bytes that it takes. */
  readonly length: number
  /** The client; undefined where the proxy connects for itself, or does not say. */
  readonly address: string | undefined
}

/**
 * Reads a header.
 *
 * @returns `'more'` while bytes are missing; `'invalid'` for anything else, and for what is not TCP.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader | 'more' | 'invalid' {
  const known = Math.min(bytes.length, SIGNATURE.length)
  if (!bytes.subarray(0, known).equals(SIGNATURE.subarray(0, known))) return 'invalid'
  if (bytes.length < FIXED_BYTES) return 'more'
  const command = bytes.readUInt8(12)
  const family = bytes.readUInt8(13)
  const said = bytes.readUInt16BE(14)
  if ((command !== LOCAL && command !== PROXY) || said > MOST_BYTES) return 'invalid'
  const length = FIXED_BYTES + said
  if (bytes.length < length) return 'more'
  if (command === LOCAL || family === UNSPECIFIED) return { length, address: undefined }
  if (family === TCP4 && said >= 12)
    return { length, address: [...bytes.subarray(16, 20)].join('.') }
  if (family === TCP6 && said >= 36) return { length, address: ipv6(bytes.subarray(16, 32)) }
  return 'invalid'
}

/** Eight groups; those who read it make nothing of how it is shortened. */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16))
  const mapped = bytes.subarray(0, 12).equals(Buffer.from('00000000000000000000ffff', 'hex'))
  return mapped ? `::ffff:${[...bytes.subarray(12)].join('.')}` : groups.join(':')
}

/**
 * From now on connections of these proxies begin with a header, and count as their clients'. What listens for
 * connections already hears of them once that is read.
 *
 * @param timeout - milliseconds for the header; then, and where it is not right, the connection ends.
 */
export function expectProxyHeaders(server: Server, proxies: TrustedProxies, timeout: number): void {
  const listeners = server.listeners('connection') as ((socket: Socket) => void)[]
  server.removeAllListeners('connection')
  const accept = (socket: Socket): void => {
    for (const listener of listeners) listener.call(server, socket)
  }
  server.on('connection', (socket: Socket) => {
    if (proxies.includes(socket.remoteAddress)) readHeader(socket, timeout, accept)
    else accept(socket)
  })
}

function readHeader(socket: Socket, timeout: number, accept: (socket: Socket) => void): void {
  let bytes = Buffer.alloc(0)
  const impatient = setTimeout(() => socket.destroy(), timeout)
  const onError = (): void => void socket.destroy()
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk])
    const header = readProxyHeader(bytes)
    if (header === 'more') return
    end()
    if (header === 'invalid') return void socket.destroy()
    const { address, length } = header
    if (address !== undefined) Object.defineProperty(socket, 'remoteAddress', { value: address })
    if (bytes.length > length) socket.unshift(bytes.subarray(length))
    accept(socket)
  }
  const end = (): void => {
    clearTimeout(impatient)
    socket.off('data', onData)
    socket.off('error', onError)
    socket.off('close', end)
  }
  socket.on('data', onData)
  socket.on('error', onError)
  socket.on('close', end)
}
