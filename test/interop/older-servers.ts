// Servers of DTLS 1.2 alone, of mcbn and of other libraries, with a key of `IDENTITY`.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../support/paths.js'
import { findProgram } from '../support/peers.js'
import { freeUdpPort } from '../support/ports.js'
import { start } from '../support/process.js'
import { COAP_ANSWER, COAP_KEY, libcoapServer, sServer } from './commands.js'
import { canCompile, compilePeer, peerLibrary, startServer } from './peers.js'
import { IDENTITY, KEY, serveEcho } from './support.js'

/** What they speak, unless they say otherwise. */
export const OLDER_SUITE = 'PSK-AES128-GCM-SHA256'

export interface OlderServer {
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

function compiled(name: string, suite = OLDER_SUITE): OlderServer {
  const library = peerLibrary(name)
  return {
    name,
    suite,
    ...(library.mtu && { mtu: library.mtu }),
    lacks: canCompile(library) ? undefined : library.package,
    serve: async () => await startServer(await compilePeer(library), suite),
  }
}

/** Says loudly that it is left out. */
export function warnOfLacking({ name, lacks }: OlderServer): void {
  if (lacks) console.warn(`\n!!! SKIPPED ${name}: ${lacks} is not installed\n`)
}

const lacking = (program: string) => (findProgram(program) ? undefined : program)

function libcoap(library: 'openssl' | 'gnutls'): OlderServer {
  const name = `coap-server-${library}`
  return {
    name,
    lacks: lacking(name),
    key: Buffer.from(COAP_KEY),
    serve: async () => ({ port: await libcoapServer(name), says: COAP_ANSWER }),
  }
}

export const OLDER_SERVERS: readonly OlderServer[] = [
  { name: 'mcbn', serve: () => serveEcho('dtls') },
  {
    name: 'openssl s_server -listen',
    lacks: lacking('openssl'),
    serve: async () => {
      const key = ['-psk', KEY, '-dtls1_2', '-listen', '-cipher', OLDER_SUITE]
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
      const peer = start(program, ['server', KEY, '', OLDER_SUITE], { foreign: true })
      const [, port] = await peer.output(/^listening on (\d+)$/m)
      return { port: Number(port) }
    },
  },
]
