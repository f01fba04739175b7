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

/** Certificates that begin now and end in 27 years. */
export function certificateChain(
  links: readonly ChainLink[],
  { curve, digest }: { readonly curve: 'P-256' | 'P-384'; readonly digest: 'sha256' | 'sha384' },
): readonly MadeCertificate[] {
  const folder = mkdtempSync(join(tmpdir(), 'mcbn-chain-'))
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  try {
    return links.map(({ subject, extensions, issuer = Number.NaN }, at) => {
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
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
