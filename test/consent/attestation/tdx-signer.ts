// Intel's side of TDX for tests: a quoting enclave, a certified processor, and Intel's statements about both,
// really signed, under a root made here.

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { detachedPublicKey } from '../../../src/consent/base/keys.js'
import {
  CA_EXTENSIONS,
  certificateChain,
  type MadeCertificate,
  revocationList,
} from '../../support/certificate-chain.js'

const FMSPC = '00906ed50000'
const MRSIGNER = 'dc'.repeat(32)
/** Processor's components, all alike. */
const SVN = 5

export interface QuoteSaid {
  readonly reportData?: Uint8Array
  readonly version?: 4 | 5
  readonly tdAttributes?: string
  readonly mrConfigId?: string
  readonly rtmr3?: number
  readonly teeTcbSvn?: string
  readonly mrSignerSeam?: string
  readonly qeAttributes?: string
  readonly qeSigner?: KeyObject
  readonly quoteSigner?: KeyObject
  readonly qeReportData?: Uint8Array
}

export interface CollateralSaid {
  readonly tcbInfo?: object
  readonly qeIdentity?: object
  readonly status?: string
  readonly revoked?: boolean
  readonly signer?: KeyObject
}

export interface Intel {
  readonly root: Buffer
  quote(said?: QuoteSaid): Buffer
  collateral(said?: CollateralSaid): Record<string, string>
}

/** @param now - milliseconds since 1970; statements are issued then, for a day. */
export function createIntel(now: number): Intel {
  const leaf = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    'subjectKeyIdentifier=hash',
    'authorityKeyIdentifier=keyid',
  ]
  const below = [...CA_EXTENSIONS, 'authorityKeyIdentifier=keyid']
  const extension = `1.2.840.113741.1.13.1=DER:${pckExtension().toString('hex').match(/../g)?.join(':')}`
  const chain = certificateChain(
    [
      { subject: '/CN=Root', extensions: CA_EXTENSIONS },
      { subject: '/CN=Processor CA', extensions: below },
      { subject: '/CN=PCK', extensions: [...leaf, extension] },
      { subject: '/CN=TCB Signing', extensions: leaf, issuer: 0 },
    ],
    { curve: 'P-256', digest: 'sha256' },
  )
  const [root, processor, pck, tcb] = chain as [
    MadeCertificate,
    MadeCertificate,
    MadeCertificate,
    MadeCertificate,
  ]
  const lists = {
    root: revocationList(root),
    pck: revocationList(processor),
    revoked: revocationList(processor, [pck]),
  }
  const attestation = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const p1363 = (data: Uint8Array, key: KeyObject) =>
    sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' })

  function quote(said: QuoteSaid = {}): Buffer {
    const version = said.version ?? 4
    const head = Buffer.alloc(48)
    head.writeUInt16LE(version, 0)
    head.writeUInt16LE(2, 2)
    head.writeUInt32LE(0x81, 4)
    head.write('939a7233f79c4ca9940a0db3957f0607', 12, 'hex')
    const body = Buffer.concat([
      Buffer.from(said.teeTcbSvn ?? `0300${'05'.repeat(14)}`, 'hex'),
      Buffer.alloc(48, 0x5e),
      Buffer.from(said.mrSignerSeam ?? '00'.repeat(48), 'hex'),
      Buffer.alloc(8),
      Buffer.from(said.tdAttributes ?? '0000001000000000', 'hex'),
      Buffer.alloc(8, 0xe7),
      Buffer.alloc(48, 0xa1),
      Buffer.from(said.mrConfigId ?? '00'.repeat(48), 'hex'),
      Buffer.alloc(96),
      ...[0xb0, 0xb1, 0xb2, said.rtmr3 ?? 0xb3].map((byte) => Buffer.alloc(48, byte)),
      said.reportData ?? Buffer.alloc(64),
    ])
    const newer = Buffer.concat([body, Buffer.alloc(16, 0x15), Buffer.alloc(48)])
    const typed = version === 4 ? [body] : [u16(3), u32(newer.length), newer]
    const signed = Buffer.concat([head, ...typed])
    const jwk = detachedPublicKey(attestation.publicKey).export({ format: 'jwk' })
    const point = Buffer.concat([jwk.x, jwk.y].map((part) => Buffer.from(part ?? '', 'base64url')))
    const authData = Buffer.alloc(32, 0x0a)
    const qeReport = Buffer.alloc(384)
    qeReport.write(said.qeAttributes ?? '11'.padEnd(32, '0'), 48, 'hex')
    qeReport.write(MRSIGNER, 128, 'hex')
    qeReport.writeUInt16LE(2, 256)
    qeReport.writeUInt16LE(4, 258)
    const bound = createHash('sha256').update(point).update(authData).digest()
    qeReport.set(said.qeReportData ?? bound, 320)
    const pem = Buffer.from([pck, processor, root].map((one) => one.pem).join(''))
    const certification = Buffer.concat([
      qeReport,
      p1363(qeReport, said.qeSigner ?? pck.key),
      ...[u16(authData.length), authData],
      ...[u16(5), u32(pem.length), pem],
    ])
    const auth = Buffer.concat([
      p1363(signed, said.quoteSigner ?? attestation.privateKey),
      point,
      ...[u16(6), u32(certification.length), certification],
    ])
    return Buffer.concat([signed, u32(auth.length), auth])
  }

  function collateral(said: CollateralSaid = {}): Record<string, string> {
    const times = { issueDate: iso(now - 1_000), nextUpdate: iso(now + 86_400_000) }
    const module = {
      mrsigner: '00'.repeat(48),
      attributes: '00'.repeat(8),
      attributesMask: 'FF'.repeat(8),
    }
    const components = Array.from({ length: 16 }, () => ({ svn: SVN }))
    const level = (svn: number, tcbStatus: string, advisoryIDs?: string[]) => ({
      tcb: {
        sgxtcbcomponents: components.map(() => ({ svn })),
        pcesvn: 11,
        tdxtcbcomponents: components.map((_, at) => ({ svn: at < 2 ? 0 : svn })),
      },
      ...{ tcbDate: '2026-03-01T00:00:00Z', tcbStatus, ...(advisoryIDs && { advisoryIDs }) },
    })
    const tcbInfo = JSON.stringify({
      ...{ id: 'TDX', version: 3, ...times, fmspc: FMSPC.toUpperCase(), pceId: '0000' },
      ...{ tcbType: 0, tcbEvaluationDataNumber: 18, tdxModule: module },
      tdxModuleIdentities: [
        {
          ...{ id: 'TDX_01', ...module },
          tcbLevels: [
            { tcb: { isvsvn: 4 }, tcbDate: '2026-03-01T00:00:00Z', tcbStatus: 'UpToDate' },
            { tcb: { isvsvn: 2 }, tcbDate: '2025-03-01T00:00:00Z', tcbStatus: 'OutOfDate' },
          ],
        },
      ],
      tcbLevels: [
        level(SVN + 1, 'UpToDate'),
        level(SVN, said.status ?? 'UpToDate', ['INTEL-SA-00001']),
      ],
      ...said.tcbInfo,
    })
    const qeIdentity = JSON.stringify({
      ...{ id: 'TD_QE', version: 2, ...times, tcbEvaluationDataNumber: 17 },
      ...{ miscselect: '00000000', miscselectMask: 'FFFFFFFF' },
      attributes: '11'.padEnd(32, '0'),
      attributesMask: 'FBFFFFFFFFFFFFFF'.padEnd(32, '0'),
      ...{ mrsigner: MRSIGNER, isvprodid: 2 },
      tcbLevels: [{ tcb: { isvsvn: 4 }, tcbDate: '2026-02-01T00:00:00Z', tcbStatus: 'UpToDate' }],
      ...said.qeIdentity,
    })
    const signer = said.signer ?? tcb.key
    const issuers = `${tcb.pem}${root.pem}`
    return {
      root_ca_crl: lists.root.toString('hex'),
      pck_crl: (said.revoked === true ? lists.revoked : lists.pck).toString('hex'),
      tcb_info_issuer_chain: issuers,
      tcb_info: tcbInfo,
      tcb_info_signature: p1363(Buffer.from(tcbInfo), signer).toString('hex'),
      qe_identity_issuer_chain: issuers,
      qe_identity: qeIdentity,
      qe_identity_signature: p1363(Buffer.from(qeIdentity), signer).toString('hex'),
    }
  }

  return { root: root.der, quote, collateral }
}

/** The SGX extension of a PCK certificate: pairs of object identifier and value. */
function pckExtension(): Buffer {
  const oid = (...last: number[]) => tlv(6, Buffer.from([...OID, ...last]))
  const pair = (name: Buffer, value: Buffer) => tlv(0x30, Buffer.concat([name, value]))
  const number = (value: number) => tlv(2, Buffer.from([value]))
  const tcb = Array.from({ length: 17 }, (_, at) =>
    pair(oid(2, at + 1), number(at === 16 ? 11 : SVN)),
  )
  const cpuSvn = pair(oid(2, 18), tlv(4, Buffer.alloc(16, SVN)))
  return tlv(
    0x30,
    Buffer.concat([
      pair(oid(1), tlv(4, Buffer.alloc(16, 0x99))),
      pair(oid(2), tlv(0x30, Buffer.concat([...tcb, cpuSvn]))),
      pair(oid(3), tlv(4, Buffer.alloc(2))),
      pair(oid(4), tlv(4, Buffer.from(FMSPC, 'hex'))),
      pair(oid(5), tlv(10, Buffer.from([0]))),
    ]),
  )
}

/** 1.2.840.113741.1.13.1 */
const OID = [0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01]

function tlv(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** RFC 3339 in whole seconds, as Intel writes it. */
function iso(time: number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`
}
