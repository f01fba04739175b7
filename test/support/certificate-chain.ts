// Chains of EC certificates by openssl: each link issued by the one before it, the first by itself.

import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Extensions of a CA whose certificates RFC 5280 is satisfied with. */
export const CA_EXTENSIONS = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
] as const

export interface ChainLink {
  readonly subject: string
  /** Lines of openssl's extension file. */
  readonly extensions: readonly string[]
  /** Issued by this link instead of the one before; -1 for itself. */
  readonly issuer?: number
}

export interface MadeCertificate {
  readonly der: Buffer
  readonly pem: string
  readonly key: KeyObject
}

/** A revocation list (RFC 5280 section 5) in DER, valid from now for 9,999 days. */
export function revocationList(
  issuer: MadeCertificate,
  revoked: readonly MadeCertificate[] = [],
): Buffer {
  return inFolder((folder, openssl) => {
    const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
    write('index', '')
    write('ca.pem', issuer.pem)
    write('ca.key', issuer.key.export({ type: 'pkcs8', format: 'pem' }) as string)
    write('crl', '01')
    const lines = ['database=index', 'crlnumber=crl', 'default_md=sha256', 'crl_extensions=x']
    const sections = [
      '[ca]',
      'default_ca=a',
      '[a]',
      ...lines,
      '[x]',
      'authorityKeyIdentifier=keyid',
    ]
    write('ca.cnf', [...sections, ''].join('\n'))
    const ca = ['ca', '-config', 'ca.cnf', '-keyfile', 'ca.key', '-cert', 'ca.pem']
    for (const [at, { pem }] of revoked.entries()) {
      write(`${at}.pem`, pem)
      openssl(...ca, '-revoke', `${at}.pem`)
    }
    openssl(...ca, '-gencrl', '-crldays', '9999', '-out', 'list.pem')
    openssl('crl', '-in', 'list.pem', '-outform', 'DER', '-out', 'list.der')
    return readFileSync(join(folder, 'list.der'))
  })
}

function inFolder<Value>(
  use: (folder: string, openssl: (...args: string[]) => Buffer) => Value,
): Value {
  const folder = mkdtempSync(join(tmpdir(), 'mcbn-chain-'))
  try {
    return use(folder, (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' }))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Certificates that begin now and end in 27 years. */
export function certificateChain(
  links: readonly ChainLink[],
  { curve, digest }: { readonly curve: 'P-256' | 'P-384'; readonly digest: 'sha256' | 'sha384' },
): readonly MadeCertificate[] {
  return inFolder((folder, openssl) =>
    links.map(({ subject, extensions, issuer = Number.NaN }, at) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: curve })
      const by = Number.isNaN(issuer) ? at - 1 : issuer
      writeFileSync(
        join(folder, `${at}.key`),
        privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      )
      writeFileSync(join(folder, `${at}.ext`), [...extensions, ''].join('\n'))
      openssl('req', '-new', '-key', `${at}.key`, '-subj', subject, '-out', `${at}.csr`)
      const signer =
        by < 0
          ? ['-signkey', `${at}.key`]
          : ['-CA', `${by}.pem`, '-CAkey', `${by}.key`, '-set_serial', `${at + 1}`]
      const request = ['x509', '-req', '-in', `${at}.csr`, '-days', '9999', `-${digest}`]
      openssl(...request, ...signer, '-extfile', `${at}.ext`, '-out', `${at}.pem`)
      const pem = readFileSync(join(folder, `${at}.pem`), 'utf8')
      const key = createPrivateKey(readFileSync(join(folder, `${at}.key`)))
      return { pem, der: new X509Certificate(pem).raw, key }
    }),
  )
}
