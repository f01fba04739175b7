// What a participant that serves tells of what happens: sentences for people, JSON for machines.

import { CONFIDENTIAL_SPACE, serviceAccountsOf } from '../../consent/attestation/platform.js'
import type { Participant } from '../../consent/participant/participant.js'
import type { PendingRequest } from '../../consent/participant/types.js'
import { type FolderFlags, placeWords } from './participant-options.js'
import { report } from './report.js'

/** Says each event of a participant. */
export function tell(participant: Participant, { dir, json }: FolderFlags): void {
  participant.on('pending', (request) => {
    const { id, role, times } = request
    if (times > 1) return
    report(json, { event: 'pending', id, role, ...inShort(request) }, [
      `${role} waits for your yes: ${described(request)}`,
      `  mcbn participant approve ${placeWords(dir)} ${id.slice(0, 16)}`,
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

type Pairs = Iterable<readonly [name: string, value: unknown]>

/** All that an approval is for (see `requestId`): nobody says yes to what is not shown. */
interface Described
  extends Pick<
    PendingRequest['facts'],
    | 'imageDigest'
    | 'instance'
    | 'project'
    | 'args'
    | 'overriddenArgs'
    | 'platform'
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
    platform: facts.platform,
  }
}

/** What a person decides by. */
export function described({ facts }: { readonly facts: Described }): string {
  const { imageDigest, instance, project, args, overriddenArgs } = facts
  return (
    `image ${imageDigest ?? 'unknown'}, instance ${instance ?? 'unknown'} in ${project ?? 'no project'}, ` +
    `arguments ${JSON.stringify(args)}` +
    list('environment', assignments(facts.env)) +
    list('arguments changed by the operator', overriddenArgs) +
    list('environment changed by the operator', assignments(facts.overriddenEnv)) +
    said(facts) +
    `, by ${facts.kind} of ${facts.issuer}`
  )
}

/** Confidential Space's other claims are for the policy to judge; of other platforms all are part of the id. */
function said({ platform }: Pick<Described, 'platform'>): string {
  const isSpace = platform.name === CONFIDENTIAL_SPACE
  const items = isSpace
    ? serviceAccountsOf({ platform })
    : assignments(Object.entries(platform.claims))
  return list(isSpace ? 'service accounts' : `${platform.name} says`, items)
}

function list(what: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `, ${what} ${JSON.stringify(items)}`
}

function assignments(pairs: Pairs): string[] {
  return Array.from(pairs, ([name, value]) => `${name}=${value}`).sort()
}
