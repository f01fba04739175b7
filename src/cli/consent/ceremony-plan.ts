// Before a ceremony: keys, and the plan that all compare.

import { Command } from 'commander'
import {
  type CheckedPlan,
  createPlan,
  PLAN_MAX_BYTES,
  parsePlan,
  planBytes,
} from '../../consent/ceremony/plan.js'
import { CeremonyState, parseCard } from '../../consent/ceremony/state.js'
import { PLAN_NAME } from '../../consent/ceremony/transport.js'
import {
  addTransportOptions,
  fetchPlan,
  type TransportFlags,
  transportOf,
  transportWords,
} from './ceremony-transport.js'
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

interface InitFlags extends LockFlags {
  readonly label: string
  readonly keysOf?: string
  readonly json?: boolean
}

export function initCommand(): Command {
  return addLockOptions(new Command('init'))
    .summary('make your keys, and a folder for them')
    .description(
      'Make a folder with your keys, sealed, and participant.json with the public ones, which is for\n' +
        'the author of the plan. Every epoch is a separate ceremony, in its own folder.',
    )
    .argument('<folder>', 'made, for you alone (mode 700)')
    .requiredOption(
      '--label <label>',
      'your name in the network: 1 to 63 of a-z 0-9 . _ -',
      demandLabel,
    )
    .option('--keys-of <folder>', 'take the keys of an earlier ceremony, locked the same way')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (folder: string, flags: InitFlags) => {
      const { label, keysOf, json } = flags
      // Before a passphrase is asked for.
      await CeremonyState.demandNew(folder, label)
      const lock = await readLock(flags, keysOf === undefined ? 'new' : 'known')
      const keys = keysOf === undefined ? undefined : (await CeremonyState.read(keysOf, lock)).keys
      const state = await CeremonyState.create(folder, {
        label,
        lock,
        ...(keys !== undefined && { keys }),
      })
      state.close()
      const card = `${folder.replace(/\/$/, '')}/participant.json`
      report(json, { step: 'init', folder, ...state.card }, [
        `${label}: keys made in ${folder}, sealed`,
        `next: hand ${card} to the author of the plan, who types`,
        `  mcbn ceremony plan --network <name> --epoch <number> [--threshold <t>] --participant ${shellWord(card)} <others' files> --client-image sha256:<digest> --server-image sha256:<digest> --dir <shared folder>`,
      ])
    })
}

interface PlanFlags extends TransportFlags, NetworkFlags {
  readonly threshold?: string
  readonly out?: string
  readonly json?: boolean
}

export function planCommand(): Command {
  return addTransportOptions(addNetworkOptions(new Command('plan')))
    .summary('write the plan that all will sign')
    .description(
      'Write the plan: who takes part, how many of them are needed, which images may run, how long.\n' +
        'Anyone who writes it is trusted with nothing: everybody reads it and compares its hash.',
    )
    .option('--threshold <t>', 'any t of the participants are enough (without it: all are needed)')
    .option('--out <file>', 'write it to a file; for a board, which is started with it')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (flags: PlanFlags) => {
      const plan = await planOf(flags)
      const to = flags.out ?? `${flags.dir ?? flags.board}`
      if (flags.out === undefined) await transportOf(flags).put(PLAN_NAME, planBytes(plan))
      else
        await writeNew(
          flags.out,
          '--out',
          Buffer.concat([planBytes(plan), Buffer.from('\n')]),
          0o644,
        )
      const next =
        flags.out === undefined
          ? `  mcbn ceremony commit <folder>${transportWords(flags)} --plan-hash ${plan.hashHex}`
          : `  mcbn ceremony board --plan ${shellWord(flags.out)}`
      report(
        flags.json,
        { step: 'plan', written: to, planHash: plan.hashHex, plan: plan.document },
        [
          ...describePlan(plan),
          `written to ${to}`,
          'next: everybody reads it and compares the hash by another way; then each of you types',
          next,
        ],
      )
    })
}

interface ShowFlags extends TransportFlags {
  readonly json?: boolean
}

export function showCommand(): Command {
  return addTransportOptions(new Command('show'))
    .summary('show a plan and its hash, to be compared')
    .description('Show a plan and its hash, which all participants compare by another way.')
    .argument('[file]', 'the plan, unless --dir or --board has it (- reads stdin)')
    .option('--json', 'one JSON object instead of sentences')
    .action(async (file: string | undefined, flags: ShowFlags) => {
      const plan =
        file === undefined
          ? await fetchPlan(transportOf(flags), undefined)
          : parsePlan(await readInput(file, 'plan', PLAN_MAX_BYTES + 1))
      report(flags.json, { planHash: plan.hashHex, plan: plan.document }, describePlan(plan))
    })
}

/** A plan in sentences. */
export function describePlan({ document, hashHex, labels }: CheckedPlan): string[] {
  const { network, epoch, mode, t, roles, protocols, validity, participants } = document
  const need = mode === 'n-of-n' ? `all ${labels.length} of` : `any ${t} of ${labels.length}:`
  return [
    `plan ${hashHex}`,
    `  network   ${network}, epoch ${epoch}, ${protocols.join(' ')}`,
    `  needed    ${need} ${labels.join(', ')}`,
    `  client    ${roles.client.id}: ${roles.client.images.join(' ')}`,
    `  server    ${roles.server.id}: ${roles.server.images.join(' ')}`,
    `  valid     ${time(validity.notBefore)} to ${time(validity.notAfter)}`,
    ...participants.map(({ label, ed25519 }) => `  key       ${ed25519} ${label}`),
  ]
}

async function planOf(flags: PlanFlags): Promise<CheckedPlan> {
  const cards = []
  for (const file of flags.participant) {
    cards.push(parseCard(await readInput(file, '--participant', PLAN_MAX_BYTES)))
  }
  const { threshold } = flags
  return createPlan({
    ...(await networkOf(flags)),
    mode: threshold === undefined ? 'n-of-n' : 't-of-n',
    t: threshold === undefined ? cards.length : integer('--threshold', threshold),
    participants: cards,
  })
}
