// Every example is run as a reader would run it: by itself, to its own end, and for what it prints.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repositoryRoot } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'
import { run, typescript } from '../support/process.js'

/** Lines of stdout, in order. */
const EXAMPLES: Readonly<Record<string, readonly RegExp[]>> = {
  'shares-to-connection.ts': [/^hello Client1, this is TLSv1\.3$/],
  'consent.ts': [
    /^client hears: hello, both agreed$/,
    /^bob has withdrawn: the connection is closed$/,
    /^expected the shares of 2 participants, got [01]: bob refused \(withdrawn\)$/,
  ],
  'dtls-echo.ts': [
    /^open: DTLSv1\.2, [A-Z0-9-]*PSK-[A-Z0-9-]+$/,
    /^echo: one$/,
    /^echo: two$/,
    /^echo: This is a UDP message$/,
    /^at most 13\d\d bytes fit one datagram here$/,
  ],
  'dtls13.ts': [
    /^hello, said DTLSv1\.3: TLS_AES_128_GCM_SHA256$/,
    /^hello, said DTLSv1\.2: [A-Z0-9-]*PSK-[A-Z0-9-]+$/,
  ],
  'http-express.ts': [
    /^GET \/: 200 \{"hello":"Client1","protocol":"TLSv1\.3"\}$/,
    /^GET \/missing: 404 $/,
  ],
  'http2.ts': [
    /^Client1 speaks h2 over TLSv1\.3$/,
    /^GET \/alice over HTTP\/2\.0$/,
    /^GET \/bob over HTTP\/2\.0$/,
    /^GET \/carol over HTTP\/2\.0$/,
  ],
  'coap-over-dtls.ts': [/^2\.05 GET \/temperature: 21\.5 degrees \(PSK-AES128-CCM8\)$/],
  'psk-file.ts': [
    /^identities: meter-1, meter-2$/,
    /^MCBN_PSK_FILE_INVALID in line 2$/,
    /^hello meter-1$/,
    /^hello meter-2$/,
  ],
  'xds.ts': [/^trying the trap$/, /^trying a server$/, /^TLSv1\.3: hello$/],
  'openssl-s-client.ts': [
    /^TLSv1\.3 server got: hello by -tls1_3$/,
    /^TLSv1\.2 server got: hello by -tls1_2$/,
    /^DTLSv1\.2 server got: hello by -dtls1_2$/,
  ],
}

const PEERS: Readonly<Record<string, readonly string[]>> = { 'openssl-s-client.ts': ['openssl'] }

async function linesOf(name: string): Promise<readonly string[]> {
  const example = await run(process.execPath, typescript(join('examples', name)))
  expect(example.exit, example.report()).toEqual({ code: 0, signal: null })
  expect(example.stderr).toBe('')
  return example.stdout.replace(/\n$/, '').split('\n')
}

describe('examples', () => {
  for (const [name, expected] of Object.entries(EXAMPLES)) {
    const possible = (PEERS[name] ?? []).every((program) => requirePeer(program))
    it.skipIf(!possible)(`${name} prints what it promises, and ends`, async () => {
      const lines = await linesOf(name)
      expect(lines).toHaveLength(expected.length)
      for (const [at, pattern] of expected.entries()) expect(lines[at]).toMatch(pattern)
    })
  }

  it('async-lookup.ts finds keys late, conceals who is unknown, and stops asking', async () => {
    const lines = await linesOf('async-lookup.ts')
    // Client and server share a process: which of them speaks first is nobody's promise.
    expect([...lines].sort()).toEqual(
      [
        'asked for sensor-7 (TLSv1.3)',
        'TLS: in the cellar',
        'asked for sensor-7 (DTLSv1.2)',
        'DTLS: in the cellar',
        'asked for stranger (TLSv1.3)',
        'server: MCBN_PSK_IDENTITY_UNKNOWN',
        'the stranger sees MCBN_PSK_MISMATCH',
        'asked for slow (TLSv1.3)',
        'the impatient one sees AbortError',
        'no longer asked for slow',
        'server: MCBN_HANDSHAKE_FAILED',
      ].sort(),
    )
  })

  it('leaves no example untested, and none too long to read', () => {
    const files = readdirSync(join(repositoryRoot, 'examples')).filter((name) => /\.ts$/.test(name))
    expect(files.sort()).toEqual([...Object.keys(EXAMPLES), 'async-lookup.ts'].sort())
    for (const file of files) {
      const lines = readFileSync(join(repositoryRoot, 'examples', file), 'utf8').split('\n').length
      expect(lines, file).toBeLessThan(80)
    }
  })
})
