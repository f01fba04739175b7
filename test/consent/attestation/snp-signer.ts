// AMD's side of SEV-SNP for tests: a processor with a key that is certified for it, under a root made here.

import { execFileSync } from 'node:child_process'
import { createPrivateKey, sign, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { descriptor } from '../policy/fixture.js'

const CHIP = 'd4'.repeat(64)
const TCB = { bootloader: 3, tee: 0, snp: 8, microcode: 115 }
/** AMD's arc of object identifiers. */
const ARC = '1.3.6.1.4.1.3704.1'
const PSS = ['-sha384', '-sigopt', 'rsa_padding_mode:pss']
const RSA = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']
const P384 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384']

export interface ReportSaid {
  readonly vmpl?: number
  readonly debug?: boolean
  /** @defaultValue the hash of the policy fixture's descriptor */
  readonly hostData?: string
  readonly snp?: number
  /** Each byte of the guest's number. */
  readonly reportId?: number
}

export interface Amd {
  readonly root: Buffer
  /** VCEK, ASK, ARK, in DER. */
  readonly chain: readonly Buffer[]
  /** What the processor would sign about a guest with these 64 bytes. */
  report(data: Uint8Array, said?: ReportSaid): Buffer
  /** Report and certificates, base64url. */
  token(data: Uint8Array, said?: ReportSaid): string
}

/** Its certificates begin now and end in 27 years. */
export function createAmd(): Amd {
  const { key, chain } = certificates()

  function report(data: Uint8Array, said: ReportSaid = {}): Buffer {
    const bytes = Buffer.alloc(1184)
    bytes[0] = 2
    bytes.writeBigUInt64LE(0x30000n | (said.debug === true ? 0x80000n : 0n), 8)
    bytes.writeUInt32LE(said.vmpl ?? 0, 0x30)
    bytes[0x34] = 1
    bytes.set(data, 0x50)
    bytes.fill(0x5e, 0x90, 0xc0)
    bytes.write(said.hostData ?? descriptor.hashHex, 0xc0, 'hex')
    bytes.fill(said.reportId ?? 0x1d, 0x140, 0x160)
    bytes.set([TCB.bootloader, TCB.tee, 0, 0, 0, 0, said.snp ?? TCB.snp, TCB.microcode], 0x180)
    bytes.write(CHIP, 0x1a0, 'hex')
    const signature = sign('sha384', bytes.subarray(0, 0x2a0), { key, dsaEncoding: 'ieee-p1363' })
    bytes.set(Buffer.from(signature.subarray(0, 48)).reverse(), 0x2a0)
    bytes.set(Buffer.from(signature.subarray(48)).reverse(), 0x2a0 + 72)
    return bytes
  }

  return {
    root: chain[2] as Buffer,
    chain,
    report,
    token: (data, said) => Buffer.concat([report(data, said), ...chain]).toString('base64url'),
  }
}

/** The processor's key, and VCEK, ASK, ARK: RSA-PSS above, P-384 below, as AMD has it. */
function certificates() {
  const folder = mkdtempSync(join(tmpdir(), 'mcbn-amd-'))
  const path = (name: string) => join(folder, name)
  const openssl = (...args: readonly string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const issue = (name: string, issuer: readonly string[], extensions: string, serial: string) => {
    openssl('genpkey', ...(name === 'vcek' ? P384 : RSA), '-out', `${name}.key`)
    openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`)
    const request = ['x509', '-req', '-in', `${name}.csr`, '-days', '9999', '-set_serial', serial]
    const signing = issuer.length === 0 ? ['-signkey', `${name}.key`] : issuer
    openssl(...request, ...signing, ...PSS, '-extfile', extensions, '-out', `${name}.pem`)
  }
  try {
    writeFileSync(
      path('ca.ext'),
      'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n',
    )
    writeFileSync(path('vcek.ext'), vcekExtensions())
    issue('ark', [], 'ca.ext', '1')
    issue('ask', ['-CA', 'ark.pem', '-CAkey', 'ark.key'], 'ca.ext', '2')
    issue('vcek', ['-CA', 'ask.pem', '-CAkey', 'ask.key'], 'vcek.ext', '3')
    return {
      key: createPrivateKey(readFileSync(path('vcek.key'))),
      chain: ['vcek', 'ask', 'ark'].map(
        (name) => new X509Certificate(readFileSync(path(`${name}.pem`))).raw,
      ),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function vcekExtensions(): string {
  const hex = (value: number) => value.toString(16).padStart(2, '0')
  const integer = (value: number) =>
    `DER:02:0${value > 127 ? 2 : 1}:${value > 127 ? '00:' : ''}${hex(value)}`
  const versions = [TCB.bootloader, TCB.tee, TCB.snp]
  return [
    `${ARC}.2=ASN1:IA5STRING:Milan-B0`,
    ...versions.map((value, at) => `${ARC}.3.${at + 1}=${integer(value)}`),
    `${ARC}.3.8=${integer(TCB.microcode)}`,
    `${ARC}.4=DER:${CHIP.match(/../g)?.join(':')}`,
    '',
  ].join('\n')
}
