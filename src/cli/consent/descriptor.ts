// mcbn descriptor: what a ceremony makes by itself, by hand, and ways to look at it.

import { rename } from 'node:fs/promises'
import { Command } from 'commander'
import { CeremonyState, parseCard } from '../../consent/ceremony/state.js'
import {
  createDescriptor,
  DESCRIPTOR_MAX_BYTES,
  descriptorHash,
} from '../../consent/descriptor/descriptor.js'
import {
  addSignature,
  parseSignedDescriptor,
  signDescriptor,
  verifySignedDescriptor,
} from '../../consent/descriptor/signed.js'
import type { SignedDescriptor } from '../../consent/descriptor/types.js'
import { shareCommitment } from '../../consent/shares/commitment.js'
import { McbnError } from '../../errors.js'
import { decodeHex } from '../../psk/hex.js'
import { UsageError } from '../exit.js'
import { readInput, shellWord, writeNew } from './files.js'
import { addLockOptions, type LockFlags, readLock } from './lock.js'
import {
  addNetworkOptions,
  demandLabel,
  integer,
  type NetworkFlags,
  networkOf,
  time,
} from './network-options.js'
import { report } from './report.js'

export function descriptorCommand(): Command {
  return new Command('descriptor')
    .summary('make, sign and check the descriptor of a network')
    .description(
      'Make, sign and check the descriptor of a network. A ceremony makes and signs one by itself; create\n' +
        'and sign are for participants who make their shares by hand, all of which are needed then.',
    )
    .addHelpText('after', HELP)
    .addCommand(commitmentCommand())
    .addCommand(createCommand())
    .addCommand(signCommand())
    .addCommand(showCommand())
    .addCommand(verifyCommand())
}

const HELP = `
By hand, each participant on their own machine:
  mcbn ceremony init ./alice --label alice            keys, and participant.json for the others
  mcbn descriptor commitment --label alice --network demo --epoch 1 alice.hex
  mcbn descriptor create --network demo --epoch 1 --participant alice.json bob.json \\
    --commitment alice=<base64url> bob=<base64url> --client-image sha256:<64 hex> \\
    --server-image sha256:<64 hex> --out descriptor.json
  mcbn descriptor sign descriptor.json --keys ./alice     each in turn
  mcbn descriptor verify descriptor.json`

interface CommitmentFlags {
  readonly label: string
  readonly network: string
  readonly epoch: string
  readonly json?: boolean
}

function commitmentCommand(): Command {
  return new Command('commitment')
    .summary('the commitment to a share made by hand; public')
    .description('Print the commitment to a share that you have made by hand. It is public.')
    .argument('<file>', 'your share as 64 hex digits in a file (- reads stdin)')
    .requiredOption('--label <label>', 'your name in the network', demandLabel)
    .requiredOption('--network <name>', 'name of the network')
    .requiredOption('--epoch <number>', 'epoch of the share')
    .option('--json', 'one JSON object instead of the bare text')
    .action(async (file: string, { label, network, epoch, json }: CommitmentFlags) => {
      const content = await readInput(file, 'file', 66)
      const text = content.toString('latin1').replace(/\r?\n$/, '')
      content.fill(0)
      const share = decodeHex(text, `share of ${label}`, 'MCBN_SHARE_INVALID', 'lower', label)
      try {
        demandRandom(label, share)
        const number = integer('--epoch', epoch)
        const commitment = shareCommitment({ network, epoch: number, label, share })
        const shown = commitment.toString('base64url')
        report(json, { label, network, epoch: number, commitment: shown }, [shown])
      } finally {
        share.fill(0)
      }
    })
}

interface CreateFlags extends NetworkFlags {
  readonly commitment: readonly string[]
  readonly out: string
  readonly json?: boolean
}

function createCommand(): Command {
  return addNetworkOptions(new Command('create'))
    .summary('make a descriptor that nobody has signed yet')
    .description('Make an n-of-n descriptor from commitments and keys, signed by nobody yet.')
    .requiredOption('--commitment <label=base64url...>', "everybody's, see descriptor commitment")
    .requiredOption('--out <file>', 'new file to write it to')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (flags: CreateFlags) => {
      const given = new Map(flags.commitment.map(labelled))
      const cards = []
      for (const file of flags.participant) {
        const card = parseCard(await readInput(file, '--participant', 4096))
        const commitment = given.get(card.label)
        if (commitment === undefined) {
          throw new UsageError(`--commitment: expected that of ${card.label}, got none`)
        }
        cards.push({ ...card, commitment })
      }
      if (given.size !== cards.length) {
        throw new UsageError(`--commitment: expected ${cards.length} of them, got ${given.size}`)
      }
      const descriptor = createDescriptor({
        ...(await networkOf(flags)),
        mode: 'n-of-n',
        participants: cards,
      })
      await writeNew(flags.out, '--out', textOf({ descriptor, signatures: {} }), 0o644)
      const hash = descriptorHash(descriptor).toString('hex')
      report(flags.json, { descriptorHash: hash, written: flags.out }, [
        `descriptor ${hash} written to ${flags.out}, signed by nobody yet`,
        'next: each of you compares the hash, and types in turn',
        `  mcbn descriptor sign ${shellWord(flags.out)} --keys <your folder>`,
      ])
    })
}

interface SignFlags extends LockFlags {
  readonly keys: string
  readonly json?: boolean
}

function signCommand(): Command {
  return addLockOptions(new Command('sign'))
    .summary('add your signature')
    .description('Add your signature to the file. Read it first: mcbn descriptor show.')
    .argument('<file>', 'the descriptor; replaced by one with your signature')
    .requiredOption('--keys <folder>', 'your folder, made by mcbn ceremony init')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (file: string, flags: SignFlags) => {
      const signed = parseSignedDescriptor(await readInput(file, 'file', DESCRIPTOR_MAX_BYTES))
      const { card, keys } = await CeremonyState.read(flags.keys, await readLock(flags))
      const { label } = card
      const more = addSignature(signed, label, signDescriptor(signed.descriptor, label, keys))
      const beside = `${file}.${process.pid}.new`
      await writeNew(beside, 'file', textOf(more), 0o644)
      await rename(beside, file)
      const missing = labelsOf(more).filter((other) => !Object.hasOwn(more.signatures, other))
      const hash = descriptorHash(more.descriptor).toString('hex')
      report(flags.json, { descriptorHash: hash, label, missing }, [
        `${label} has signed descriptor ${hash}`,
        missing.length === 0
          ? `next: mcbn descriptor verify ${shellWord(file)}`
          : `next: hand it to ${missing.join(', ')}, who ${missing.length === 1 ? 'has' : 'have'} not signed yet`,
      ])
    })
}

function showCommand(): Command {
  return new Command('show')
    .summary('show a descriptor, and its signers')
    .description('Show a descriptor, and its signers.')
    .argument('<file>', 'the descriptor (- reads stdin)')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (file: string, { json }: { readonly json?: boolean }) => {
      const signed = parseSignedDescriptor(await readInput(file, 'file', DESCRIPTOR_MAX_BYTES))
      const hash = descriptorHash(signed.descriptor).toString('hex')
      const holds = new Map(labelsOf(signed).map((label) => [label, signatureState(signed, label)]))
      report(
        json,
        { descriptorHash: hash, signatures: Object.fromEntries(holds), ...signed.descriptor },
        describe(signed, hash, holds),
      )
    })
}

interface VerifyFlags {
  readonly descriptorHash?: string
  readonly json?: boolean
}

function verifyCommand(): Command {
  return new Command('verify')
    .summary('check everything, and that everybody has signed')
    .description('Check every field and every signature; ends with 0 only if all hold.')
    .argument('<file>', 'the descriptor (- reads stdin)')
    .option('--descriptor-hash <hex>', 'the hash that it must have, 64 hex digits')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (file: string, { descriptorHash: pinned, json }: VerifyFlags) => {
      const bytes = await readInput(file, 'file', DESCRIPTOR_MAX_BYTES)
      const verified = verifySignedDescriptor(
        bytes,
        pinned === undefined
          ? {}
          : { descriptorHash: decodeHex(pinned, '--descriptor-hash', 'MCBN_OPTION_RANGE') },
      )
      const labels = labelsOf(verified.signed)
      const { network, epoch } = verified.descriptor
      report(
        json,
        {
          descriptorHash: verified.hashHex,
          network,
          epoch,
          identity: verified.identity,
          signedBy: labels,
        },
        [
          `descriptor ${verified.hashHex} holds: network ${network}, epoch ${epoch}`,
          `signed by ${labels.join(', ')}: all of them`,
        ],
      )
    })
}

type SignatureState = 'signed' | 'not signed' | 'bad signature'

function signatureState(signed: SignedDescriptor, label: string): SignatureState {
  const signature = Object.hasOwn(signed.signatures, label) ? signed.signatures[label] : undefined
  if (signature === undefined) return 'not signed'
  try {
    addSignature(signed, label, signature)
    return 'signed'
  } catch {
    return 'bad signature'
  }
}

function describe(
  { descriptor }: SignedDescriptor,
  hash: string,
  states: ReadonlyMap<string, SignatureState>,
): string[] {
  const { network, epoch, mode, t, participants, roles, protocols, validity } = descriptor
  const need = mode === 'n-of-n' ? `all ${t}` : `any ${t} of ${participants.length}`
  return [
    `descriptor ${hash}`,
    `  network   ${network}, epoch ${epoch}, ${protocols.join(' ')}`,
    `  needed    ${need} (${mode})`,
    `  client    ${roles.client.id}: ${roles.client.images.join(' ')}`,
    `  server    ${roles.server.id}: ${roles.server.images.join(' ')}`,
    `  valid     ${time(validity.notBefore)} to ${time(validity.notAfter)}`,
    ...participants.map(
      ({ label, ed25519 }) => `  ${`${states.get(label)}`.padEnd(9)} ${label} (key ${ed25519})`,
    ),
  ]
}

/** As every derivation will refuse it; better before it is signed for. */
function demandRandom(label: string, share: Buffer): void {
  if (share.some((byte) => byte !== share[0])) return
  throw new McbnError(
    'MCBN_SHARE_INVALID',
    `share of ${label}: expected random bytes, got equal ones`,
    { participant: label },
  )
}

function labelled(text: string): readonly [string, string] {
  const parts = /^([a-z0-9][a-z0-9._-]{0,62})=([A-Za-z0-9_-]{43})$/.exec(text)
  if (parts === null) {
    throw new McbnError(
      'MCBN_OPTION_RANGE',
      '--commitment: expected <label>=<43 characters of base64url>, got other text',
    )
  }
  return [`${parts[1]}`, `${parts[2]}`]
}

function labelsOf({ descriptor }: SignedDescriptor): string[] {
  return descriptor.participants.map(({ label }) => label)
}

function textOf(signed: SignedDescriptor): string {
  return `${JSON.stringify(signed, undefined, 2)}\n`
}
