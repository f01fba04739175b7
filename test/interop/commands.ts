// The command `mcbn` and the openssl programs it talks with, as processes.

import { commandFile } from '../support/paths.js'
import { freeTcpPort, freeUdpPort } from '../support/ports.js'
import { type Child, run, start } from '../support/process.js'
import { FROM_MCBN, HINT, IDENTITY, KEY, LOOPBACK } from './support.js'

export const PSK = ['--psk', `${IDENTITY}:${KEY}`] as const
const quiet = { env: { SSLKEYLOGFILE: undefined } }

export async function listen(
  url: string,
  ...args: readonly string[]
): Promise<{ readonly server: Child; readonly port: number }> {
  const server = start(process.execPath, [commandFile, 'listen', url, ...args], quiet)
  const [, port] = await server.output(/^listening on \S+:(\d+)$/m)
  return { server, port: Number(port) }
}

export function connect(url: string, ...args: readonly string[]) {
  return run(process.execPath, [commandFile, 'connect', url, ...args], {
    ...quiet,
    input: `${FROM_MCBN}\n`,
  })
}

export function sClient(port: number, ...args: readonly string[]): Child {
  const address = `${LOOPBACK}:${port}`
  return start('openssl', ['s_client', '-connect', address, ...args], { foreign: true })
}

export async function sServer(...args: readonly string[]): Promise<{ port: number; peer: Child }> {
  const port = await (args.includes('-dtls1_2') ? freeUdpPort() : freeTcpPort())
  const accept = ['-accept', `${LOOPBACK}:${port}`, '-nocert', '-psk_identity', IDENTITY]
  const peer = start('openssl', ['s_server', ...accept, ...args], { foreign: true })
  await peer.output(/^ACCEPT$/m)
  return { port, peer }
}

/** libcoap's -k takes the key as text. */
export const COAP_KEY = 'sixteen or more!'
/** What its server answers to COAP_GET begins so. */
export const COAP_ANSWER = 'This is a test server made with libcoap'
/** A confirmable GET of the root (RFC 7252 section 3). */
export const COAP_GET = Buffer.of(0x40, 0x01, 0x12, 0x34)

/** libcoap's server with OpenSSL or GnuTLS, by the name of its program: its port. */
export async function libcoapServer(program: string): Promise<number> {
  const port = await freeUdpPort()
  // coaps:// is on the port after the one that is told.
  const flags = ['-v', '7', '-A', LOOPBACK, '-p', String(port - 1), '-k', COAP_KEY, '-h', HINT]
  // Line-buffered: what it prints to a pipe would stay with it until it ends.
  const peer = start('stdbuf', ['-oL', program, ...flags], { foreign: true })
  await peer.output(`created DTLS endpoint ${LOOPBACK}:${port}`)
  return port
}
