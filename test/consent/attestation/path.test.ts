// Path validation under the pinned root (RFC 5280 section 6): what a chain of right signatures and names
// can still have wrong with it. Certificates are made by openssl, each kind with one fault.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGcpPkiVerifier, GCP_CS_ISSUER } from 'mcbn/consent'
import { afterAll, describe, expect, it } from 'vitest'
import {
  expectRefused,
  goodClaims,
  IMAGE,
  jwt,
  NOW,
  rsaKey,
  verify,
} from '../../support/evidence.js'
import { requirePeer } from '../../support/peers.js'

const folder = mkdtempSync(join(tmpdir(), 'mcbn-path-'))
afterAll(() => rmSync(folder, { recursive: true }))

const keys = { root: rsaKey(), mid: rsaKey(), leaf: rsaKey(), small: rsaKey(1024) }
for (const [name, key] of Object.entries(keys)) {
  writeFileSync(join(folder, `${name}.key`), key.export({ type: 'pkcs8', format: 'pem' }))
}
const claims = goodClaims({ iss: GCP_CS_ISSUER })

const CA = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
]
const BELOW = [...CA, 'authorityKeyIdentifier=keyid']
const LEAF = [
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'authorityKeyIdentifier=keyid',
]

interface Faults {
  readonly root?: readonly string[]
  readonly mid?: readonly string[]
  readonly leaf?: readonly string[]
  readonly midKey?: 'mid' | 'small'
  readonly leafDigest?: string
  readonly midDigest?: string
}

let made = 0
type Certificate = { readonly file: string; readonly der: Buffer; readonly key: string }
/** Those without fault are made once. */
const kept = new Map<string, Certificate>()

function certificate(
  subject: string,
  key: string,
  issuer: { readonly file: string; readonly key: string } | undefined,
  extensions: readonly string[],
  digest = 'sha256',
): Certificate {
  const what = JSON.stringify([subject, key, issuer?.file, extensions, digest])
  const known = kept.get(what)
  if (known !== undefined) return known
  const file = join(folder, `${++made}`)
  writeFileSync(`${file}.ext`, ['[e]', ...extensions, '[d]', 'O=Allowed', ''].join('\n'))
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  openssl(
    'req',
    '-new',
    '-key',
    `${key}.key`,
    '-subj',
    `/O=Tests/CN=${subject}`,
    '-out',
    `${file}.csr`,
  )
  const signer =
    issuer === undefined
      ? ['-signkey', `${key}.key`]
      : ['-CA', issuer.file, '-CAkey', `${issuer.key}.key`]
  openssl(
    ...[
      'x509',
      '-req',
      '-in',
      `${file}.csr`,
      '-days',
      '36500',
      `-${digest}`,
      '-set_serial',
      `${made}`,
    ],
    ...[...signer, '-extfile', `${file}.ext`, '-extensions', 'e', '-out', file],
  )
  const der = openssl('x509', '-in', file, '-outform', 'DER')
  const one = { file, der, key }
  kept.set(what, one)
  return one
}

async function judge(faults: Faults, message?: RegExp): Promise<void> {
  const { midKey = 'mid' } = faults
  const root = certificate('root', 'root', undefined, faults.root ?? CA)
  const mid = certificate('mid', midKey, root, faults.mid ?? BELOW, faults.midDigest)
  const leaf = certificate('leaf', 'leaf', mid, faults.leaf ?? LEAF, faults.leafDigest)
  const x5c = [leaf, mid, root].map(({ der }) => der.toString('base64'))
  const verifier = createGcpPkiVerifier({ roots: [root.der] })
  const token = jwt({ alg: 'RS256', typ: 'JWT', x5c }, claims, keys.leaf)
  // openssl's certificates begin now; the tests' clock is earlier or later, tokens have no other bounds.
  const now = Math.max(NOW, Date.now() + 60_000)
  const fresh = { ...claims, iat: now / 1000 - 1, nbf: now / 1000 - 1, exp: now / 1000 + 60 }
  for (const name of ['iat', 'nbf', 'exp'] as const) fresh[name] = Math.floor(fresh[name])
  const timely = now === NOW ? token : jwt({ alg: 'RS256', typ: 'JWT', x5c }, fresh, keys.leaf)
  if (message !== undefined) await expectRefused(verifier, timely, message, { now })
  else expect((await verify(verifier, timely, { now })).imageDigest).toBe(IMAGE)
}

describe.runIf(requirePeer('openssl'))('attestation/path', () => {
  it('accepts a chain without fault', () => judge({}))

  const faults: readonly [string, Faults, RegExp][] = [
    [
      'longer than its root allows',
      { root: ['basicConstraints=critical,CA:TRUE,pathlen:0', ...CA.slice(1)] },
      /root: .*path length constraint exceeded/,
    ],
    [
      'with a name outside of the constraints',
      { mid: [...BELOW, 'nameConstraints=critical,permitted;dirName:d'] },
      /leaf: .*permitted subtree violation/,
    ],
    [
      'with a critical extension of the intermediate that nobody knows',
      { mid: [...BELOW, '1.2.3.4.5=critical,ASN1:UTF8String:x'] },
      /intermediate: .*unhandled critical extension/,
    ],
    [
      'with a critical extension of the leaf that nobody knows',
      { leaf: [...LEAF, '1.2.3.4.5=critical,ASN1:UTF8String:x'] },
      /leaf: .*unhandled critical extension/,
    ],
    [
      'whose leaf is signed with SHA-1',
      { leafDigest: 'sha1' },
      /leaf: .*digest algorithm too weak/,
    ],
    [
      'whose intermediate is signed with SHA-1',
      { midDigest: 'sha1' },
      /intermediate: .*digest algorithm too weak/,
    ],
    ['with an intermediate of 1024 bits', { midKey: 'small' }, /intermediate: .*key too weak/],
    [
      'whose leaf has a key for other uses',
      {
        leaf: [
          'basicConstraints=critical,CA:FALSE',
          'keyUsage=critical,keyAgreement',
          ...LEAF.slice(2),
        ],
      },
      /leaf: .*digitalSignature/,
    ],
    [
      'whose leaf does not say what its key is for',
      { leaf: ['basicConstraints=critical,CA:FALSE', 'authorityKeyIdentifier=keyid'] },
      /leaf: .*digitalSignature/,
    ],
    [
      'whose intermediate may sign revocation lists only',
      {
        mid: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,cRLSign', ...BELOW.slice(2)],
      },
      /: path validation|issued by/,
    ],
    [
      'whose leaf does not name the key that signed it',
      { leaf: [...LEAF.slice(0, 2), 'authorityKeyIdentifier=none'] },
      /leaf: .*Authority Key Identifier/i,
    ],
  ]
  for (const [name, fault, message] of faults) {
    it(`refuses a chain ${name}`, () => judge(fault, message))
  }
})
