// Key files as the programs really read them. Each line of the table is given to the program, which then
// says by its handshakes who has which key, and to mcbn, which must come to the same with that format.

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect as dial, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { McbnError } from '../../src/errors.js'
import { loadPskFile, type PskFileFormat } from '../../src/psk/index.js'
import { connect } from '../../src/tls/index.js'
import { temporaryFolder } from '../support/paths.js'
import { freeTcpPort } from '../support/ports.js'
import { type Child, start } from '../support/process.js'
import { waitFor } from '../support/wait.js'
import { describeWithOptionalPeers } from './optional-peers.js'
import { LOOPBACK } from './support.js'

const K = '00112233445566778899aabbccddeeff'
const J = 'ffeeddccbbaa99887766554433221100'
const hex = (text: string): string => Buffer.from(text).toString('hex')

/** Identity and key in hex; "nobody": the line names no key; "refused": the program does not start. */
type Reading = readonly [identity: string, key: string] | 'nobody' | 'refused'

interface Row {
  readonly line: string
  readonly mosquitto: Reading
  readonly stunnel: Reading
  readonly gnutls: Reading
  /** What mcbn says to the line without a format, or that it reads it like all of them. */
  readonly common: RegExp | 'as they do' | 'a comment'
}

const plain: Reading = ['a', K]
const ROWS: Record<string, Row> = {
  'a plain line': {
    line: `a:${K}`,
    mosquitto: plain,
    stunnel: plain,
    gnutls: plain,
    common: 'as they do',
  },
  'upper-case digits': {
    line: `a:${K.toUpperCase()}`,
    mosquitto: plain,
    stunnel: plain,
    gnutls: plain,
    common: 'as they do',
  },
  'leading zeros': {
    line: `a:0000${K.slice(4)}`,
    mosquitto: ['a', `0000${K.slice(4)}`],
    stunnel: ['a', `0000${K.slice(4)}`],
    gnutls: ['a', `0000${K.slice(4)}`],
    common: 'as they do',
  },
  '# and hex': {
    line: `#6162:${K}`,
    mosquitto: 'nobody',
    stunnel: ['#6162', K],
    gnutls: ['ab', K],
    common: /say which format/,
  },
  '# and a name': {
    line: `#lead:${K}`,
    mosquitto: 'nobody',
    stunnel: ['#lead', K],
    gnutls: 'nobody',
    common: /say which format/,
  },
  'an odd digit': {
    line: `a:${K}0`,
    mosquitto: ['a', `0${K}0`],
    stunnel: ['a', hex(`${K}0`)],
    gnutls: 'nobody',
    common: /even number/,
  },
  'a blank behind the key': {
    line: `a:${K} `,
    mosquitto: plain,
    stunnel: ['a', hex(`${K} `)],
    gnutls: 'nobody',
    common: /white space/,
  },
  'a blank before the key': {
    line: `a: ${K}`,
    mosquitto: plain,
    stunnel: ['a', hex(` ${K}`)],
    gnutls: 'nobody',
    common: /white space/,
  },
  'a blank before the name': {
    line: ` a:${K}`,
    mosquitto: plain,
    stunnel: [' a', K],
    gnutls: [' a', K],
    common: /white space around it/,
  },
  'a blank behind the name': {
    line: `a :${K}`,
    mosquitto: plain,
    stunnel: ['a ', K],
    gnutls: ['a ', K],
    common: /white space around it/,
  },
  'two keys': {
    line: `a:${K}:${J}`,
    mosquitto: plain,
    stunnel: ['a', K + J],
    gnutls: 'nobody',
    common: /colon within its digits/,
  },
  'colons between digits': {
    line: `a:${K.replace(/..(?=.)/g, '$&:')}`,
    mosquitto: 'nobody',
    stunnel: plain,
    gnutls: 'nobody',
    common: /leave the colons out/,
  },
  'a key in text': {
    line: 'a:correct horse battery',
    mosquitto: 'refused',
    stunnel: ['a', hex('correct horse battery')],
    gnutls: 'nobody',
    common: /ascii:<key>/,
  },
  CRLF: {
    line: `a:${K}\r`,
    mosquitto: plain,
    stunnel: plain,
    gnutls: 'nobody',
    common: 'as they do',
  },
  'a name with colons': {
    line: `urn:dev:7:${K}`,
    mosquitto: 'refused',
    stunnel: ['urn', hex(`dev:7:${K}`)],
    gnutls: 'nobody',
    common: /several.*hex:<key>/,
  },
  'a comment with a key': {
    line: `# lead:${K}`,
    mosquitto: 'nobody',
    stunnel: ['# lead', K],
    gnutls: 'nobody',
    common: 'a comment',
  },
  'no colon': {
    line: 'word',
    mosquitto: 'nobody',
    stunnel: 'refused',
    gnutls: 'nobody',
    common: /no colon/,
  },
  'one name twice': {
    line: `a:${K}\na:${J}`,
    mosquitto: plain,
    stunnel: ['a', J],
    gnutls: plain,
    common: /already on line 1/,
  },
  'a name beyond ASCII': {
    line: `caf\u00e9:${K}`,
    mosquitto: ['caf\u00e9', K],
    stunnel: ['caf\u00e9', K],
    gnutls: ['caf\u00e9', K],
    common: 'as they do',
  },
}

const last: Reading = ['last', J]

/** A file of the line, and of one more that every program reads; QEMU wants this name. */
function fileOf({ line }: Row): string {
  const file = join(temporaryFolder(), 'keys.psk')
  writeFileSync(file, `${line}\nlast:${J}\n`, { mode: 0o600 })
  return file
}

function serverOf(format: PskFileFormat, port: number, keys: string): Child {
  const conf = join(temporaryFolder(), 'conf')
  const foreign = { foreign: true }
  switch (format) {
    case 'mosquitto':
      writeFileSync(
        conf,
        `listener ${port} ${LOOPBACK}\npsk_file ${keys}\npsk_hint h\nuser root\nlog_dest stderr\n`,
      )
      return start('mosquitto', ['-c', conf], foreign)
    case 'stunnel':
      writeFileSync(
        conf,
        `foreground = yes\npid =\n[s]\naccept = ${LOOPBACK}:${port}\nPSKsecrets = ${keys}\nconnect = ${LOOPBACK}:9\nciphers = PSK\n`,
      )
      return start('stunnel', [conf], foreign)
    case 'gnutls':
      return start(
        'gnutls-serv',
        [
          '--echo',
          '--port',
          String(port),
          '--pskpasswd',
          keys,
          '--priority',
          'NORMAL:-KX-ALL:+PSK',
        ],
        foreign,
      )
  }
}

/** Whether somebody listens. */
function accepts(port: number): Promise<boolean> {
  const socket = dial(port, LOOPBACK)
  return new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  }).finally(() => socket.destroy())
}

/** Whether the server proves that it has this key under this identity. */
function hasKey(port: number, [identity, key]: readonly [string, string]): Promise<boolean> {
  return provesKey({ host: LOOPBACK, port }, [identity, key])
}

function provesKey(
  at: { host: string; port: number } | { socket: Socket },
  [identity, key]: readonly [string, string],
): Promise<boolean> {
  const psk = { identity, key: Buffer.from(key, 'hex') }
  const socket = connect({ ...at, psk, maxVersion: 'TLSv1.2' })
  return new Promise<boolean>((resolve) => {
    socket.once('secureConnect', () => resolve(true))
    socket.once('error', () => resolve(false))
  }).finally(() => socket.destroy())
}

/** Everybody that any program reads out of the line. */
function candidates(row: Row): (readonly [string, string])[] {
  const all = [row.mosquitto, row.stunnel, row.gnutls].filter(
    (reading) => typeof reading !== 'string',
  )
  return [...new Map(all.map((reading) => [reading.join(':'), reading])).values()]
}

const PROGRAMS = { mosquitto: 'mosquitto', stunnel: 'stunnel', gnutls: 'gnutls-serv' } as const

describe.each(['mosquitto', 'stunnel', 'gnutls'] as const)('interop/psk files: %s', (format) => {
  describeWithOptionalPeers([PROGRAMS[format]], `read by ${PROGRAMS[format]}`, () => {
    it.each(Object.entries(ROWS))('%s', async (_what, row) => {
      const keys = fileOf(row)
      const port = await freeTcpPort()
      const child = serverOf(format, port, keys)
      const listens = await Promise.race([
        waitFor('the port', () => accepts(port)).then(() => true),
        child.exited.then(() => false),
      ])
      const expected = row[format]
      expect(listens).toBe(expected !== 'refused')
      if (!listens) return
      const found = []
      for (const one of [...candidates(row), last]) if (await hasKey(port, one)) found.push(one)
      expect(found).toEqual([...(typeof expected === 'string' ? [] : [expected]), last])
    })
  })

  it.each(Object.entries(ROWS))('format: %s', (_what, row) => {
    const expected = row[format]
    const read = () =>
      [...loadPskFile(fileOf(row), { format })].map(([id, key]) => [id, key.toString('hex')])
    try {
      const found = read()
      expect(found).toEqual([...(typeof expected === 'string' ? [] : [expected]), last])
    } catch (error) {
      // A line that gives nobody a key although it looks like one is told, not passed over.
      if (!(error instanceof McbnError)) throw error
      expect(error).toMatchObject({ code: 'MCBN_PSK_FILE_INVALID', line: 1 })
      expect(['nobody', 'refused']).toContain(expected)
    }
  })
})

// ---- the same file, read by others with GnuTLS ------------------------------------------------------

const NBD = {
  nbdkit: (port: number, keys: string) =>
    ['-f', '-i', LOOPBACK, '-p', `${port}`, '--tls=require', `--tls-psk=${keys}`].concat(
      'memory',
      '1M',
    ),
  'qemu-nbd': (port: number, keys: string) => {
    const disk = join(dirname(keys), 'disk')
    writeFileSync(disk, Buffer.alloc(65_536))
    const credentials = `tls-creds-psk,id=keys,endpoint=server,dir=${dirname(keys)}`
    return ['-b', LOOPBACK, '-p', `${port}`, '--persistent', '--shared=0', '-f', 'raw'].concat(
      '--object',
      credentials,
      '--tls-creds',
      'keys',
      disk,
    )
  },
} as const

/** NBD's way into TLS: the newstyle greeting, then NBD_OPT_STARTTLS and its acknowledgement. */
async function startTls(port: number): Promise<Socket> {
  const socket = dial(port, LOOPBACK)
  socket.on('error', () => {})
  const read = async (length: number): Promise<Buffer> => {
    for (;;) {
      const bytes = socket.read(length) as Buffer | null
      if (bytes) return bytes
      await once(socket, 'readable')
    }
  }
  const greeting = await read(18)
  expect(greeting.toString('latin1', 0, 16)).toBe('NBDMAGICIHAVEOPT')
  const option = Buffer.alloc(8)
  option.writeUInt32BE(5)
  socket.write(Buffer.concat([Buffer.of(0, 0, 0, 3), Buffer.from('IHAVEOPT'), option]))
  expect((await read(20)).readUInt32BE(12)).toBe(1)
  return socket
}

describe.each(['nbdkit', 'qemu-nbd'] as const)('interop/psk files: %s', (program) => {
  describeWithOptionalPeers([program], `read by ${program}`, () => {
    it.each(Object.entries(ROWS))('%s, as GnuTLS', async (_what, row) => {
      const port = await freeTcpPort()
      start(program, NBD[program](port, fileOf(row)), { foreign: true })
      await waitFor('the port', () => accepts(port))
      const found = []
      for (const one of [...candidates(row), last]) {
        if (await provesKey({ socket: await startTls(port) }, one)) found.push(one)
      }
      const expected = row.gnutls
      expect(found).toEqual([...(typeof expected === 'string' ? [] : [expected]), last])
    })
  })
})

describe('interop/psk files: without a format', () => {
  it.each(Object.entries(ROWS))('%s', (_what, row) => {
    const read = () => [...loadPskFile(fileOf(row))].map(([id, key]) => [id, key.toString('hex')])
    if (row.common === 'as they do') expect(read()).toEqual([row.mosquitto, last])
    else if (row.common === 'a comment') expect(read()).toEqual([last])
    else expect(read).toThrow(row.common)
  })
})
