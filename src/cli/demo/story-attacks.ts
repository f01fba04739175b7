// Steps 5 to 7: what Frank tries, and what comes of it.

import { nameOf, PARTICIPANTS } from './cast.js'
import {
  expectEqual,
  expectInsufficient,
  expectMatch,
  expectRefusal,
  expectShares,
} from './expect.js'
import type { Stage } from './stage.js'
import { type Finding, type Step, StepFailed } from './steps.js'
import { doorsOf } from './story-consent.js'

export const ATTACK_STEPS: readonly Step<Stage>[] = [
  { name: 'wrong-image', title: 'A machine with another image is refused', run: tryWrongImage },
  { name: 'altered', title: 'What Frank alters on the way is noticed', run: tryAltering },
  { name: 'replay', title: 'What Frank has recorded is worth nothing again', run: tryReplay },
]

async function tryWrongImage(stage: Stage): Promise<Finding> {
  const asked = stage.machine('stranger').call('join', { patience: stage.pace.join })
  const { have, refused } = await expectInsufficient('stranger', asked)
  expectEqual('shares', have, 0)
  // One refusal is enough where all are needed: the last one asked may not have answered yet.
  const label = PARTICIPANTS.find((each) => refused.includes(`${each}: policy`))
  if (label === undefined) throw new StepFailed(`refused: expected policy, got ${refused.join()}`)
  const { details } = await stage.participant(label).call('refusal', {})
  expectMatch('reason', details.join('; '), new RegExp(stage.images.stranger))
  return {
    detail: `${nameOf(label)} refuses it by policy; it is told no more than that, and has no share`,
    also: [`in ${nameOf(label)}'s own log: ${shortened(details.join('; '))}`],
    facts: { code: 'policy', have, refusedBy: label },
  }
}

async function tryAltering(stage: Stage): Promise<Finding> {
  const owner = 'client, altered'
  const participants = await stage.carry(owner, stage.direct)
  const label = 'alice'
  const attempt = (patience: number) => stage.client.call('rejoin', { patience, participants })

  await stage.frank.call('meddle', { owner, label, how: 'alter-release' })
  const altered = await expectShares('altered release', 2, () => attempt(stage.pace.patience))
  expectEqual('altered release: no answer to believe from', altered.silent, ['alice'])
  expectEqual('altered release: blamed', altered.blamed, [])

  await stage.frank.call('meddle', { owner, label, how: 'swap-key' })
  const swapped = await expectInsufficient('swapped key', attempt(stage.pace.patience))
  // Alice's refusal is about the request that she saw: the client need not believe that it is for its own.
  const without = [...swapped.refused, ...swapped.silent].filter((who) => who.startsWith('alice'))
  expectEqual('swapped key: shares that did not come, of alice', without.length, 1)
  expectEqual('swapped key: blamed', swapped.blamed, [])
  const { details } = await stage.participant('alice').call('refusal', {})
  expectMatch('swapped key: reason', details.join('; '), /nonce/)

  await stage.frank.call('flip', { on: true })
  const get = () => stage.client.call('get', { port: doorsOf(stage).tls })
  const flipped = await expectRefusal('altered TLS', get())
  await stage.frank.call('flip', { on: false })

  // Untouched, the same ways work: it was the altering that was refused.
  await stage.frank.call('meddle', { owner, label, how: 'nothing' })
  expectEqual('untouched: key check value', (await attempt(stage.pace.join)).kcv, stage.kcv)
  expectMatch('untouched: answer', (await get()).body, /^hello/)
  return {
    detail: `a release with one bit flipped: Alice's signature does not fit, nobody is blamed`,
    also: [
      `Frank's own key in place of the client's: Alice refuses, ${shortened(details.join('; '))}`,
      `one bit of TLS flipped: ${flipped.message}`,
      'untouched, the same ways work',
    ],
    facts: {
      release: altered.silent.join(),
      swappedKey: 'policy',
      tls: flipped.code ?? 'none',
    },
  }
}

async function tryReplay(stage: Stage): Promise<Finding> {
  const ways = { owner: 'client', label: 'alice', other: 'bob' } as const
  const { answers } = await stage.frank.call('replay', ways)
  expectEqual(
    'answers',
    answers.map(({ status, code }) => `${status} ${code}`),
    ['400 invalid', '403 policy', '403 policy'],
  )
  const [again, old, foreign] = answers
  return {
    detail: `to Alice: ${again?.what}: ${again?.status}, that challenge is spent`,
    also: [`${old?.what}: refused (${old?.code}); ${foreign?.what}: refused (${foreign?.code})`],
    facts: { again: again?.code ?? '', old: old?.code ?? '', foreign: foreign?.code ?? '' },
  }
}

/** Digests are long; their beginnings tell them apart. */
function shortened(text: string): string {
  return text.replaceAll(/(sha256:[0-9a-f]{8})[0-9a-f]{56}/g, '$1...')
}
