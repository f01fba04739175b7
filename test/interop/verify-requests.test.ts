// A stranger's HelloVerifyRequest between mcbn and servers of other libraries: one before the server's, one behind
// it. Each connects, also those that count their HelloVerifyRequests by themselves, except where the server ends
// the handshake over a foreign cookie.

import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MESSAGE, recordsOf, TYPE, verifyRequest } from '../support/dtls-wire.js'
import { LossyProxy } from '../support/lossy-proxy.js'
import { temporaryFolder } from '../support/paths.js'
import { findProgram } from '../support/peers.js'
import { freeUdpPort } from '../support/ports.js'
import { start } from '../support/process.js'
import { COAP_ANSWER, COAP_GET, COAP_KEY, libcoapServer, sServer } from './commands.js'
import { canCompile, compilePeer, peerLibrary, startServer } from './peers.js'
import { connectTo, IDENTITY, KEY, refusedBy, serveEcho } from './support.js'

const SUITE = 'PSK-AES128-GCM-SHA256'

interface Server {
  readonly name: string
  /** Why it cannot be tested here. */
  readonly lacks?: string | undefined
  /** The alert with which it ends a handshake over a cookie that is not its own. */
  readonly refuses?: string
  /**
   * Starts it for one client: its port, and what it says when `text` has come to it. `says`: CoAP alone, and
   * this to COAP_GET.
   */
  serve(): Promise<{ port: number; heard?: (text: string) => Promise<unknown>; says?: string }>
  /** Another key than KEY. */
  readonly key?: Uint8Array
  readonly suite?: string
  readonly mtu?: number
}

function compiled(name: string, suite = SUITE): Server {
  const library = peerLibrary(name)
  return {
    name,
    suite,
    ...(library.mtu && { mtu: library.mtu }),
    lacks: canCompile(library) ? undefined : library.package,
    serve: async () => await startServer(await compilePeer(library), suite),
  }
}

const lacking = (program: string) => (findProgram(program) ? undefined : program)

function libcoap(library: 'openssl' | 'gnutls'): Server {
  const name = `coap-server-${library}`
  return {
    name,
    lacks: lacking(name),
    key: Buffer.from(COAP_KEY),
    serve: async () => ({ port: await libcoapServer(name), says: COAP_ANSWER }),
  }
}

const SERVERS: readonly Server[] = [
  { name: 'mcbn', serve: () => serveEcho('dtls') },
  {
    name: 'openssl s_server -listen',
    lacks: lacking('openssl'),
    serve: async () => {
      const key = ['-psk', KEY, '-dtls1_2', '-listen', '-cipher', SUITE]
      const { port, peer } = await sServer(...key)
      return { port, heard: (text) => peer.output(text) }
    },
  },
  {
    // It copies the lowest of six bytes at best.
    name: 'gnutls-serv',
    lacks: lacking('gnutls-serv'),
    serve: async () => {
      const file = join(temporaryFolder(), 'keys')
      writeFileSync(file, `${IDENTITY}:${KEY}\n`)
      const port = await freeUdpPort()
      const rules = 'NORMAL:-KX-ALL:+PSK:-VERS-ALL:+VERS-DTLS1.2:-CIPHER-ALL:+AES-128-GCM'
      const args = ['--udp', '--echo', '--port', String(port), '--pskpasswd', file]
      const peer = start('stdbuf', ['-oL', 'gnutls-serv', ...args, '--priority', rules], {
        foreign: true,
      })
      await peer.output(/listening on IPv4 .*\.\.\.done/)
      return { port }
    },
  },
  libcoap('openssl'),
  libcoap('gnutls'),
  compiled('mbedtls'),
  compiled('wolfssl', 'ECDHE-PSK-CHACHA20-POLY1305'),
  {
    name: 'pion',
    refuses: 'access_denied',
    lacks: canCompile(peerLibrary('pion')) ? undefined : 'pion',
    serve: async () => {
      const program = await compilePeer(peerLibrary('pion'))
      const peer = start(program, ['server', KEY, '', SUITE], { foreign: true })
      const [, port] = await peer.output(/^listening on (\d+)$/m)
      return { port: Number(port) }
    },
  },
]

const isVerifyRequest = (datagram: Buffer): boolean =>
  recordsOf(datagram).some(
    ({ type, epoch, fragment }) =>
      type === TYPE.handshake && epoch === 0 && fragment[0] === MESSAGE.helloVerifyRequest,
  )

describe.each(SERVERS)('interop/verify requests: $name', (server) => {
  if (server.lacks) console.warn(`\n!!! SKIPPED ${server.name}: ${server.lacks} is not installed\n`)

  it.skipIf(server.lacks).each(['before', 'behind'] as const)(
    'connects with a stranger’s HelloVerifyRequest %s its own',
    { timeout: 60_000 },
    async (when) => {
      const { port, heard, says } = await server.serve()
      const proxy = await LossyProxy.start(port)
      let forged = 0
      proxy.pass = (datagram, direction) => {
        if (direction === 'to client' && isVerifyRequest(datagram) && forged === 0) {
          forged += 1
          if (when === 'before') proxy.inject(verifyRequest(0), 'to client')
          else setImmediate(() => proxy.inject(verifyRequest(0), 'to client'))
        }
        return true
      }
      const { suite = SUITE, mtu, refuses, key } = server
      const psk = key && { psk: { identity: IDENTITY, key } }
      const options = { ciphers: suite, ...(mtu && { mtu }), ...psk }
      if (refuses && when === 'before') {
        const error = await refusedBy('dtls', proxy.port, options)
        return expect(error.alert).toBe(refuses)
      }
      const client = await connectTo('dtls', proxy.port, options)
      const text = says ?? `after it ${randomUUID()}`
      client.send(says ? COAP_GET : text)
      await (heard ? heard(text) : client.receives(text))
      expect(forged).toBe(1)
    },
  )
})
