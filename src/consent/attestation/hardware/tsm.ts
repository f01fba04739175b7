// In the workload: a report from the kernel's configfs-tsm (Linux 6.7, Documentation/ABI/testing/
// configfs-tsm-report): a folder that is made for each report, whose files take the 64 bytes and give the report.

import { X509Certificate } from 'node:crypto'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { McbnError } from '../../../errors.js'
import { type OptionTable, refuseUnknown } from '../../../option-names.js'
import { functionOption, stringOption } from '../../../options.js'
import { AMD_SEV_SNP, INTEL_TDX } from '../platform.js'
import type { Attester } from '../types.js'
import { reportData } from './binding.js'
import { COLLATERAL_FIELDS, type TdxCollateral } from './tdx-collateral.js'
import { parseTdxQuote } from './tdx-quote.js'

export interface TsmAttesterOptions {
  /** What the guest is. @defaultValue 'amd-sev-snp' */
  readonly kind?: 'amd-sev-snp' | 'intel-tdx'
  /** Where the kernel has it; the workload must be allowed to make folders there. @defaultValue '/sys/kernel/config/tsm/report' */
  readonly folder?: string
  /** One that is there already, to be used instead of making one; nobody else may use it. */
  readonly entry?: string
  /**
   * VCEK or VLEK, intermediate, root, for hosts that give none with the report: PEM text or DER bytes
   * (kdsintf.amd.com). @defaultValue those that come with the report
   */
  readonly certificates?: readonly (string | Uint8Array)[]
  /**
   * Needed with `intel-tdx`: Intel's statements about this processor, asked for with each quote; fields besides
   * those of `TdxCollateral` are left out.
   */
  readonly collateral?: () => TdxCollateral | Promise<TdxCollateral>
}

const OPTIONS = {
  kind: undefined,
  folder: undefined,
  entry: undefined,
  certificates: undefined,
  collateral: undefined,
} as const satisfies OptionTable<TsmAttesterOptions>

/** The one place where defaults are written. */
export const TSM_DEFAULTS = {
  kind: 'amd-sev-snp',
  folder: '/sys/kernel/config/tsm/report',
} as const satisfies TsmAttesterOptions

/** What the kernel calls them, and what people do. */
const PROVIDERS = {
  [AMD_SEV_SNP]: { provider: 'sev_guest', name: 'an SEV-SNP guest' },
  [INTEL_TDX]: { provider: 'tdx_guest', name: 'a TDX domain' },
} as const

/** Of the host's table of certificates (GHCB specification, 56421, section 4.1.8.1), as they stand in its bytes. */
const GUID = {
  vcek: '63da758de6644564adc5f4b93be8accd',
  vlek: 'a8074bc2a25a483eaae639c045a0b8a1',
  intermediate: '4ab7b379bbac4fe4a02f05aef327c782',
  root: 'c0b406a4a803495297433fb6014cd0ae',
} as const
const ENTRY_BYTES = 24

let entries = 0

/**
 * An attester for AMD SEV-SNP guests and Intel TDX domains. One report at a time is made; the kernel limits
 * their rate.
 *
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT`. Its `evidence` rejects with
 * `MCBN_ATTESTER_FAILED`, the reason as `cause`.
 */
export function createTsmAttester(options: TsmAttesterOptions = {}): Attester {
  refuseUnknown('createTsmAttester', options, OPTIONS)
  const kind = kindOf(options)
  const { collateral } = options
  const { provider, name } = PROVIDERS[kind]
  const folder = stringOption('folder', options.folder, 4096) ?? TSM_DEFAULTS.folder
  const fixed = stringOption('entry', options.entry, 4096)
  const given = options.certificates?.map(derOf)
  let last: Promise<unknown> = Promise.resolve()

  const make = async (data: Buffer): Promise<string> => {
    const entry = fixed ?? join(folder, `mcbn-${process.pid}-${++entries}`)
    if (fixed === undefined) await mkdir(entry)
    try {
      const { report, table } = await ask(entry, provider, data)
      if (collateral !== undefined) return quoteWith(report, await collateral())
      const certificates = given ?? certificatesIn(table)
      return Buffer.concat([report, ...certificates]).toString('base64url')
    } finally {
      if (fixed === undefined) await rmdir(entry)
    }
  }

  return {
    kind,
    async evidence(request) {
      const turn = last.then(() => make(reportData(request)))
      last = turn.catch(() => undefined)
      try {
        return { kind, token: await turn }
      } catch (cause) {
        const where = fixed ?? folder
        const why = cause instanceof McbnError ? cause.message : `${where} gave no report`
        const message = `configfs-tsm: ${why}; is this ${name} on Linux 6.7 or later?`
        throw new McbnError('MCBN_ATTESTER_FAILED', message, { cause })
      }
    },
  }
}

function kindOf({ kind = TSM_DEFAULTS.kind, certificates, collateral }: TsmAttesterOptions) {
  if (!Object.hasOwn(PROVIDERS, kind)) {
    throw new McbnError('MCBN_OPTION_RANGE', `kind: expected ${AMD_SEV_SNP} or ${INTEL_TDX}`)
  }
  functionOption('collateral', collateral)
  if ((kind === INTEL_TDX) !== (collateral !== undefined)) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `collateral: expected with ${INTEL_TDX}, and only there`,
    )
  }
  if (kind === INTEL_TDX && certificates !== undefined) {
    throw new McbnError('MCBN_OPTION_CONFLICT', `certificates: expected with ${AMD_SEV_SNP} only`)
  }
  return kind
}

/** The quote without the zeros that a quoting service may put behind it, then Intel's statements. */
function quoteWith(report: Buffer, collateral: TdxCollateral): string {
  const { length } = parseTdxQuote(report)
  const fields = Object.fromEntries(COLLATERAL_FIELDS.map((name) => [name, collateral[name]]))
  const json = Buffer.from(JSON.stringify(fields), 'utf8')
  return Buffer.concat([report.subarray(0, length), json]).toString('base64url')
}

async function ask(
  entry: string,
  wanted: string,
  data: Buffer,
): Promise<{ report: Buffer; table: Buffer }> {
  const provider = (await readFile(join(entry, 'provider'), 'latin1')).trim()
  if (provider !== wanted) throw failed(`expected the provider ${wanted}, got another one`)
  const before = await generationOf(entry)
  await writeFile(join(entry, 'inblob'), data)
  const report = await readFile(join(entry, 'outblob'))
  // Empty or not there where the host gives no certificates.
  const table = await readFile(join(entry, 'auxblob')).catch(() => Buffer.alloc(0))
  // Each write counts: more than ours, and the report is about somebody else's bytes.
  if ((await generationOf(entry)) !== before + 1) throw failed('somebody else uses the same entry')
  return { report, table }
}

async function generationOf(entry: string): Promise<number> {
  return Number((await readFile(join(entry, 'generation'), 'latin1')).trim())
}

/** Signing key, intermediate, root out of the host's table. */
function certificatesIn(table: Buffer): readonly Buffer[] {
  const found = new Map<string, Buffer>()
  for (let at = 0; at + ENTRY_BYTES <= table.length; at += ENTRY_BYTES) {
    const guid = table.toString('hex', at, at + 16)
    if (/^0+$/.test(guid)) break
    const offset = table.readUInt32LE(at + 16)
    found.set(guid, table.subarray(offset, offset + table.readUInt32LE(at + 20)))
  }
  const leaf = found.get(GUID.vcek) ?? found.get(GUID.vlek)
  const chain = [leaf, found.get(GUID.intermediate), found.get(GUID.root)]
  return chain.map((certificate) => {
    if (certificate === undefined || certificate.length === 0) {
      throw failed('the host gives no certificates with the report: pass `certificates`')
    }
    return derOf(certificate)
  })
}

function derOf(certificate: string | Uint8Array): Buffer {
  try {
    return new X509Certificate(certificate).raw
  } catch {
    throw new McbnError('MCBN_OPTION_RANGE', 'certificates: expected certificates, PEM or DER')
  }
}

function failed(why: string): McbnError {
  return new McbnError('MCBN_ATTESTER_FAILED', why)
}
