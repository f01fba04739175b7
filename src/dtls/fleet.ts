// A server as a node of a fleet: its options, checked, and what it knows of the other nodes.

import { isIP } from 'node:net'
import { McbnError } from '../errors.js'
import type { NativeFleet, NativeFleetLink, NativeNodeId } from '../native/dtls.js'
import { loadAddon } from '../native/load.js'
import { type OptionTable, refuseUnknown } from '../option-names.js'
import {
  bytesOption,
  integerOption,
  objectOption,
  requiredInteger,
  stringOption,
  typeName,
} from '../options.js'
import { hkdfExpand } from '../psk/hkdf.js'
import { secretCopy } from '../secret-bytes.js'

/** What connection IDs say of the node that gave them, in the form of QUIC-LB (docs/FLEET.md). */
export interface DtlsNodeIdOptions {
  /** The node's number, which no other node of the fleet has: 0 to 2_147_483_647, and what `bytes` can hold. */
  readonly id: number
  /**
   * Bytes of the number in an ID, 1 to 4. `connectionId` must have at least five more. With more than the
   * nodes need, and a `key`, a stranger's datagrams hardly ever name a node.
   *
   * @defaultValue 1
   */
  readonly bytes?: number
  /**
   * Encrypts number and nonce (AES-128): 16 random bytes, the same for all nodes and for a load balancer that
   * reads them. Without it anybody can see which node has a session.
   *
   * @defaultValue none
   */
  readonly key?: Uint8Array
  /** The first three bits of an ID, 0 to 6: which form it has, for a load balancer that knows several. @defaultValue 0 */
  readonly configRotation?: number
}

/** Where a node listens for the others. */
export interface DtlsFleetMember {
  /** An address, not a name. */
  readonly host: string
  /** UDP port, 1 to 65,535. */
  readonly port: number
}

/** How the nodes behind one address reach each other (docs/FLEET.md). */
export interface DtlsFleetOptions {
  /** 32 random bytes, the same for all nodes. Its holder can send datagrams in the name of any client. */
  readonly key: Uint8Array
  /** UDP port for the other nodes, not for clients: keep it inside. 0: the system's choice, see `server.fleet`. */
  readonly port: number
  /** The address to listen on for the other nodes. @defaultValue '0.0.0.0' */
  readonly host?: string
  /**
   * Where other nodes are; this one may be among them. Nodes tell each other the rest: one that is listed
   * anywhere is known everywhere. `setFleetMembers` replaces the list.
   *
   * @defaultValue none
   */
  readonly members?: readonly DtlsFleetMember[]
  /**
   * Datagrams a second that each I/O thread sends on to other nodes, 100 to 100_000_000; beyond that they are
   * dropped (`forwardLimit`). Answers are not counted.
   *
   * @defaultValue 200_000
   */
  readonly forwardLimit?: number
}

/** What a node knows of its fleet now. */
export interface DtlsFleet {
  /** Where this node listens for the others; `null` before it does. */
  readonly address: DtlsFleetMember | null
  /** The node IDs, and where each is; `at` is `null` for those of this process. */
  readonly nodes: readonly { readonly nodeId: number; readonly at: DtlsFleetMember | null }[]
}

const NODE_ID_OPTIONS = {
  id: undefined,
  bytes: 1,
  key: undefined,
  configRotation: 0,
} as const satisfies OptionTable<DtlsNodeIdOptions>
const FLEET_OPTIONS = {
  key: undefined,
  port: undefined,
  host: '0.0.0.0',
  members: undefined,
  forwardLimit: 200_000,
} as const satisfies OptionTable<DtlsFleetOptions>
const MEMBER_FIELDS = { host: undefined, port: undefined } as const

/** native/record/node_id.h has the same. */
export const NODE_ID_BOUNDS = { nonce: 4, longest: 20, threads: 32 } as const
const MOST_NODE_ID = 2_147_483_647
const MOST_MEMBERS = 1_024
const KEY_BYTES = { nodeId: 16, fleet: 32 } as const

/** @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`, `MCBN_OPTION_CONFLICT`, `MCBN_OPTION_UNKNOWN`. */
export function nodeIdOption(
  given: unknown,
  length: number,
  ioThreads: number,
): NativeNodeId | undefined {
  if (given === undefined) return undefined
  objectOption('nodeId', given)
  refuseUnknown('nodeId', given, NODE_ID_OPTIONS)
  const { id, bytes, key, configRotation } = given as Partial<DtlsNodeIdOptions>
  const nodeBytes = integerOption('nodeId.bytes', bytes, { min: 1, max: 4, unit: 'bytes' }, 1)
  const max = Math.min(2 ** (8 * nodeBytes) - 1, MOST_NODE_ID)
  const node = requiredInteger('nodeId.id', id, { min: 0, max })
  const rotation = integerOption('nodeId.configRotation', configRotation, { min: 0, max: 6 }, 0)
  const shortest = 1 + nodeBytes + NODE_ID_BOUNDS.nonce
  if (length < shortest || length > NODE_ID_BOUNDS.longest) {
    const got = length < 0 ? 'none' : `${length}`
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `nodeId: expected a connectionId of ${shortest} to ${NODE_ID_BOUNDS.longest} bytes, got ${got}`,
    )
  }
  if (ioThreads > NODE_ID_BOUNDS.threads) {
    throw new McbnError(
      'MCBN_OPTION_CONFLICT',
      `nodeId: expected at most ${NODE_ID_BOUNDS.threads} ioThreads, got ${ioThreads}`,
    )
  }
  const secret =
    key === undefined ? Buffer.alloc(0) : keyOption('nodeId.key', key, KEY_BYTES.nodeId)
  return { node, nodeBytes, rotation, key: secret }
}

/** A server's place in its fleet. */
export class FleetNode {
  readonly native: NativeFleet
  readonly link: NativeFleetLink
  /** What cookies are made with unless the application says otherwise: the nodes take each other's. */
  readonly cookieSecret: Buffer

  /** @throws {McbnError} as {@link nodeIdOption}. */
  constructor(given: unknown, nodeId: NativeNodeId | undefined) {
    objectOption('fleet', given)
    refuseUnknown('fleet', given, FLEET_OPTIONS)
    const { key, port, host, members, forwardLimit } = given as Partial<DtlsFleetOptions>
    if (!nodeId) {
      throw new McbnError(
        'MCBN_OPTION_CONFLICT',
        'fleet: expected a nodeId, by which other nodes know whose sessions are whose; got none',
      )
    }
    const secret = keyOption('fleet.key', key, KEY_BYTES.fleet)
    this.link = {
      address: addressOption('fleet.host', host ?? FLEET_OPTIONS.host),
      port: requiredInteger('fleet.port', port, { min: 0, max: 65_535 }),
      forwardLimit: integerOption(
        'fleet.forwardLimit',
        forwardLimit,
        { min: 100, max: 100_000_000, unit: 'datagrams a second' },
        FLEET_OPTIONS.forwardLimit,
      ),
    }
    const known = membersOption('fleet.members', members ?? [])
    this.native = new (loadAddon().Fleet)({ node: nodeId.node, key: secret })
    this.cookieSecret = hkdfExpand('sha256', secret, Buffer.from('mcbn fleet cookie 1'), 32)
    secret.fill(0)
    this.native.setMembers(known)
  }

  setMembers(members: unknown): void {
    this.native.setMembers(membersOption('members', members))
  }

  /** @throws {McbnError} `MCBN_OPTION_RANGE`. */
  takeOver(nodeId: unknown): void {
    const node = requiredInteger('nodeId', nodeId, { min: 0, max: MOST_NODE_ID })
    if (this.native.takeOver(node)) return
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      'nodeId: expected at most 64 of one process, got one more',
    )
  }

  view(): DtlsFleet {
    const found = this.native.nodes()
    const place = (at: { address: string; port: number } | undefined): DtlsFleetMember | null =>
      at ? { host: at.address, port: at.port } : null
    const nodes: { nodeId: number; at: DtlsFleetMember | null }[] = []
    for (let at = 0; at < found.length; at += 2) {
      nodes.push({ nodeId: found[at] as number, at: place(found[at + 1] as never) })
    }
    return { address: place(this.native.address()), nodes }
  }
}

function membersOption(name: string, given: unknown): { address: string; port: number }[] {
  const list = Symbol.iterator in Object(given) ? [...(given as Iterable<unknown>)] : undefined
  if (!list || typeof given === 'string') {
    throw new McbnError(
      'MCBN_OPTION_TYPE',
      `${name}: expected a list of { host, port }, got ${typeName(given)}`,
    )
  }
  if (list.length > MOST_MEMBERS) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      `${name}: expected at most ${MOST_MEMBERS}, got ${list.length}`,
    )
  }
  return list.map((each, at) => {
    const where = `${name}[${at}]`
    objectOption(where, each)
    refuseUnknown(where, each, MEMBER_FIELDS)
    const { host, port } = each as Partial<DtlsFleetMember>
    return {
      address: addressOption(`${where}.host`, host),
      port: requiredInteger(`${where}.port`, port, { min: 1, max: 65_535 }),
    }
  })
}

function addressOption(name: string, given: unknown): string {
  const address = stringOption(name, given, 255) ?? ''
  if (isIP(address) !== 0) return address
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    `${name}: expected an IP address; for a name, resolve it first (watchAddresses of mcbn/discovery)`,
  )
}

/** A copy, which the caller wipes. */
function keyOption(name: string, key: unknown, bytes: number): Buffer {
  return secretCopy(bytesOption(name, key, { min: bytes, max: bytes }))
}
