// The command `mcbn` against the same programs, as people type them.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { describeWithPeers } from '../support/peers.js'
import { freeTcpPort } from '../support/ports.js'
import { run, start } from '../support/process.js'
import { connect, listen, PSK, sClient, sServer } from './commands.js'
import { FROM_MCBN, FROM_PEER, IDENTITY, KEY, LOOPBACK, WRONG_KEY } from './support.js'

const VERSIONS = [
  ['TLS 1.3', 'tls', ['-tls1_3']],
  ['TLS 1.2', 'tls', ['-tls1_2', '-cipher', 'PSK']],
  ['DTLS 1.2', 'dtls', ['-dtls1_2', '-cipher', 'PSK-AES128-CCM8']],
] as const

describeWithPeers(['openssl'], 'interop/cli: openssl', () => {
  describe.each(VERSIONS)('%s', (_name, transport, args) => {
    const psk = ['-psk_identity', IDENTITY, '-psk', KEY]

    it('s_client gets its line back from mcbn listen --echo', async () => {
      const { port } = await listen(`${transport}://${LOOPBACK}:0`, ...PSK, '--echo')
      const peer = sClient(port, ...psk, ...args)
      peer.write(`${FROM_PEER}\n`)
      await peer.output(FROM_PEER)
    })

    it('s_client talks with the stdin and stdout of mcbn listen', async () => {
      const { server, port } = await listen(`${transport}://${LOOPBACK}:0`, ...PSK)
      const peer = sClient(port, ...psk, ...args)
      peer.write(`${FROM_PEER}\n`)
      await server.output(FROM_PEER)
      server.write(`${FROM_MCBN}\n`)
      await peer.output(FROM_MCBN)
    })

    it('mcbn connect talks with s_server', async () => {
      const { port, peer } = await sServer('-psk', KEY, ...args)
      const running = connect(`${transport}://${LOOPBACK}:${port}`, ...PSK)
      await peer.output(FROM_MCBN)
      peer.write(`${FROM_PEER}\n`)
      const { exit, stdout, stderr } = await running
      expect({ exit, stdout, stderr }).toEqual({
        exit: { code: 0, signal: null },
        stdout: `${FROM_PEER}\n`,
        stderr: '',
      })
    })

    it('mcbn connect names the wrong key of s_server in one line', async () => {
      const { port } = await sServer('-psk', WRONG_KEY, ...args)
      const { exit, stdout, stderr } = await connect(`${transport}://${LOOPBACK}:${port}`, ...PSK)
      expect({ exit, stdout }).toEqual({ exit: { code: 1, signal: null }, stdout: '' })
      expect(stderr).toMatch(/^mcbn: [^\n]*MCBN_PSK_MISMATCH[^\n]*\n$/)
    })
  })

  it.each(VERSIONS.slice(0, 2))(
    '%s: s_client reads GET / of mcbn listen --http',
    async (...version) => {
      const { port } = await listen(`tls://${LOOPBACK}:0`, ...PSK, '--http')
      const peer = sClient(port, '-psk_identity', IDENTITY, '-psk', KEY, ...version[2])
      peer.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      await peer.output(/HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok\n/)
    },
  )
})

describeWithPeers(['gnutls-cli', 'gnutls-serv', 'psktool'], 'interop/cli: gnutls', () => {
  const EXCHANGES = 'NORMAL:-KX-ALL:+PSK:+DHE-PSK:+ECDHE-PSK'

  it.each([
    ['TLS 1.3', 'tls', '', EXCHANGES],
    ['DTLS 1.2', 'dtls', '--udp', 'NORMAL:-KX-ALL:+PSK:-VERS-ALL:+VERS-DTLS1.2'],
  ])('%s: gnutls-cli gets its line back from mcbn listen --echo', async (...args) => {
    const [, transport, udp, priority] = args
    const { port } = await listen(`${transport}://${LOOPBACK}:0`, ...PSK, '--echo')
    const flags = ['--pskusername', IDENTITY, '--pskkey', KEY, '--priority', priority, LOOPBACK]
    const program = ['gnutls-cli', ...(udp ? [udp] : []), '--port', String(port), ...flags]
    const peer = start('stdbuf', ['-oL', ...program], { foreign: true })
    peer.write(`${FROM_PEER}\n`)
    await peer.output(FROM_PEER)
  })

  it('TLS 1.3: mcbn connect takes its key from the file of psktool', async () => {
    const file = join(temporaryFolder(), 'keys.psk')
    const made = await run('psktool', ['-u', IDENTITY, '-p', file], { foreign: true })
    expect(made.exit.code, made.report()).toBe(0)
    const port = await freeTcpPort()
    const flags = ['--echo', '--port', String(port), '--pskpasswd', file, '--priority', EXCHANGES]
    const peer = start('stdbuf', ['-oL', 'gnutls-serv', ...flags], { foreign: true })
    await peer.output(`Echo Server listening on IPv4 0.0.0.0 port ${port}...done`)
    const command = await connect(`tls://${LOOPBACK}:${port}`, '--psk-file', file)
    expect(command.exit.code, command.report()).toBe(0)
    expect(command.stdout).toBe(`${FROM_MCBN}\n`)
    await peer.output(`Connected as '${IDENTITY}'`)
  })
})
