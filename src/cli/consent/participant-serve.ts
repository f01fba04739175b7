// Serving a participant until it is told to stop, and saying what happens.

import { watch } from 'node:fs'
import { Command } from 'commander'
import { serveAdmin } from '../../consent/participant/admin.js'
import { serveParticipant } from '../../consent/participant/http.js'
import type { Participant } from '../../consent/participant/participant.js'
import {
  participantOfStore,
  reloadStoredPolicy,
  type StoredParticipantOptions,
} from '../../consent/participant/stored.js'
import type { PendingRequest } from '../../consent/participant/types.js'
import { createParticipantWeb, participantView } from '../../consent/participant/web/index.js'
import { openStore, type Store } from '../../consent/store/store.js'
import { EXIT, type Finish, UsageError } from '../exit.js'
import { onStopSignal } from '../signals.js'
import { readInput, shellWord } from './files.js'
import { addLockOptions, type LockFlags } from './lock.js'
import { integer } from './network-options.js'
import { addFolderOptions, type FolderFlags, lockOf } from './participant-options.js'
import { report } from './report.js'

const DEFAULT_LISTEN = '127.0.0.1:7001'
const MOST_ROOT_BYTES = 64 * 1024

interface ServeFlags extends FolderFlags, LockFlags {
  readonly listen: string
  readonly web?: boolean
  readonly pkiRoot?: readonly string[]
  readonly rate?: string
}

export function serveCommand(finish: Finish): Command {
  return addLockOptions(addFolderOptions(new Command('serve')))
    .summary('give your share to whom your policy allows, until you stop it')
    .description(
      'Give your share to whom your policy allows, until SIGINT or SIGTERM (exit code 0).\n' +
        'A changed policy.json is put in force at once; SIGHUP reads it again and says so.\n' +
        'Messages travel unencrypted: the share in them is sealed to the workload, all of them are signed, and\n' +
        'whoever carries them can read and alter them and gains nothing.',
    )
    .option('--listen <host:port>', 'address to listen on; port 0 takes a free one', DEFAULT_LISTEN)
    .option(
      '--web',
      'serve your page too, for this machine only; prints a link that signs in once, and a token',
    )
    .option('--pki-root <file...>', 'root certificate (PEM) of gcp-cs-pki evidence')
    .option('--rate <number>', 'requests a second that one address may send', '100')
    .action(async (flags: ServeFlags) => {
      const address = hostAndPort(flags.listen)
      const roots = await Promise.all(
        (flags.pkiRoot ?? []).map((file) => readInput(file, '--pki-root', MOST_ROOT_BYTES)),
      )
      const rate = integer('--rate', `${flags.rate}`)
      const store = await openStore(flags.dir, await lockOf(flags))
      try {
        const attestation = roots.length === 0 ? {} : { gcpPki: { roots: roots.map(String) } }
        const participant = participantOfStore(store, { attestation })
        const serving = { ...flags, ...address, attestation, requestsPerSecond: rate }
        await serve(store, participant, serving, finish)
      } catch (error) {
        await store.close()
        throw error
      }
    })
}

interface Serving extends ServeFlags {
  readonly host: string
  readonly port: number
  readonly requestsPerSecond: number
  readonly attestation: NonNullable<StoredParticipantOptions['attestation']>
}

/** Returns once it serves; from then on the signals end it. */
async function serve(
  store: Store,
  participant: Participant,
  flags: Serving,
  finish: Finish,
): Promise<void> {
  const { dir, json, host, port, requestsPerSecond } = flags
  const web =
    flags.web === true ? createParticipantWeb(participantView(participant, store.audit)) : undefined
  const server = await serveParticipant(participant, {
    host,
    port,
    requestsPerSecond,
    ...(web !== undefined && { web: (app) => void app.route('/', web.routes) }),
  })
  const admin = await serveAdmin(participant, dir, server.url).catch(async (error: unknown) => {
    await server.close()
    throw error
  })
  const unwatch = watchPolicy(store, participant, flags)
  // Before anything is said: who reads that it listens may stop it at once.
  onStopSignal(async () => {
    unwatch()
    web?.close()
    await admin.close()
    await server.close()
    await participant.close()
    await store.close()
    finish(EXIT.ok)
  })
  const { label } = participant
  tell(participant, flags)
  const page = web && { page: web.link(server.url), token: web.token }
  report(json, { event: 'listening', label, url: server.url, ...page }, [
    `participant ${label} listening on ${server.url}`,
    ...(page === undefined
      ? []
      : [`page: ${page.page}`, `sign-in token, for when that link has been used: ${page.token}`]),
    ...(participant.withdrawal === undefined
      ? []
      : [`${label} has withdrawn: nothing is released`]),
  ])
}

/** Milliseconds in which an editor has written all of a file. */
const SETTLED_MS = 200

/** A changed policy.json, or SIGHUP, puts the policy in force. @returns ends it. */
function watchPolicy(
  store: Store,
  participant: Participant,
  { json, attestation }: Serving,
): () => void {
  const reload = async (asked: boolean): Promise<void> => {
    try {
      const changed = await reloadStoredPolicy(store, participant, { attestation })
      if (!changed && !asked) return
      const { policyHash } = store
      report(json, { event: 'policy', changed, policyHash }, [
        `policy ${changed ? 'now' : 'still'} in force: sha256 ${policyHash}`,
      ])
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      report(json, { event: 'policy-refused', reason, policyHash: store.policyHash }, [
        `policy.json is not put in force: ${reason}`,
      ])
    }
  }
  let timer: NodeJS.Timeout | undefined
  // The folder: editors put a new file in the place of the old one.
  const watcher = watch(store.dir, { persistent: false }, (_, name) => {
    if (name !== 'policy.json') return
    clearTimeout(timer)
    timer = setTimeout(() => void reload(false), SETTLED_MS)
  })
  watcher.on('error', () => watcher.close())
  const onHangup = (): void => void reload(true)
  process.on('SIGHUP', onHangup)
  return () => {
    clearTimeout(timer)
    watcher.close()
    process.off('SIGHUP', onHangup)
  }
}

function tell(participant: Participant, { dir, json }: FolderFlags): void {
  participant.on('pending', (request) => {
    const { id, role, times } = request
    if (times > 1) return
    report(json, { event: 'pending', id, role, ...inShort(request) }, [
      `${role} waits for your yes: ${described(request)}`,
      `  mcbn participant approve --dir ${shellWord(dir)} ${id.slice(0, 16)}`,
    ])
  })
  participant.on('released', (lease) => {
    const { role, instance, project, renewals, expiresAt } = lease
    const until = new Date(expiresAt).toISOString()
    report(json, { event: renewals > 0 ? 'renewed' : 'released', ...lease }, [
      `${renewals > 0 ? 'renewed for' : 'released to'} ${role} on ${instance} (${project}), until ${until}`,
    ])
  })
  participant.on('refused', ({ role, code, details }) => {
    report(json, { event: 'refused', role, code, details }, [
      `refused ${role} (${code}): ${details.join('; ')}`,
    ])
  })
  participant.on('decided', ({ id, decision, role }) => {
    report(json, { event: 'decided', id, decision, role }, [
      `${decision} ${role} ${id.slice(0, 16)}`,
    ])
  })
  participant.on('withdrawn', (withdrawal) => {
    report(json, { event: 'withdrawn', ...withdrawal }, [
      `${withdrawal.label} has withdrawn: nothing is released from now on`,
    ])
  })
}

type Pairs = Iterable<readonly [name: string, value: string]>

/** All that an approval is for (see `requestId`): nobody says yes to what is not shown. */
interface Described
  extends Pick<
    PendingRequest['facts'],
    | 'imageDigest'
    | 'instance'
    | 'project'
    | 'args'
    | 'overriddenArgs'
    | 'serviceAccounts'
    | 'kind'
    | 'issuer'
  > {
  readonly env: Pairs
  readonly overriddenEnv: Pairs
}

function inShort({ facts }: PendingRequest) {
  const { kind, issuer, instance, project, imageDigest, args, overriddenArgs } = facts
  return {
    ...{ kind, issuer, instance, project, imageDigest, args, overriddenArgs },
    env: [...facts.env],
    overriddenEnv: [...facts.overriddenEnv],
    serviceAccounts: facts.serviceAccounts,
  }
}

/** What a person decides by. */
export function described({ facts }: { readonly facts: Described }): string {
  const { imageDigest, instance, project, args, overriddenArgs, serviceAccounts } = facts
  const list = (what: string, items: readonly string[]) =>
    items.length === 0 ? '' : `, ${what} ${JSON.stringify(items)}`
  return (
    `image ${imageDigest ?? 'unknown'}, instance ${instance ?? 'unknown'} in ${project ?? 'no project'}, ` +
    `arguments ${JSON.stringify(args)}` +
    list('environment', assignments(facts.env)) +
    list('arguments changed by the operator', overriddenArgs) +
    list('environment changed by the operator', assignments(facts.overriddenEnv)) +
    list('service accounts', serviceAccounts) +
    `, by ${facts.kind} of ${facts.issuer}`
  )
}

function assignments(pairs: Pairs): string[] {
  return Array.from(pairs, ([name, value]) => `${name}=${value}`).sort()
}

/** `127.0.0.1:7001`, `[::1]:7001`, `localhost:0`. */
function hostAndPort(text: string): { readonly host: string; readonly port: number } {
  const parts = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<name>[^:[\]\s]+)):(?<port>\d{1,5})$/.exec(
    text,
  )?.groups
  const host = parts?.['v6'] ?? parts?.['name']
  const port = Number(parts?.['port'])
  if (host !== undefined && port <= 65_535) return { host, port }
  throw new UsageError('--listen: expected <host>:<port>, IPv6 in brackets, the port 0 to 65535')
}
