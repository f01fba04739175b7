// What mcbn does with every order of a handshake's messages, learnt by asking it (RFC 6347 section 4.2, RFC 4279
// section 2): as docs/STATE-MACHINE.md says, and nobody gets in without the right Finished.
//
// MCBN_LEARN=deep tries each state with one more input and ten times as many random words, on OpenSSL's records too, and finds states
// that the document leaves out: nobody gets in by those either. MCBN_LEARN=print prints the tables for the document.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { repositoryRoot } from '../../support/paths.js'
import { seeded } from '../../support/random.js'
import { CLIENT_INPUTS, ClientSystem } from './client-system.js'
import { machineIn, tableOf } from './document.js'
import { type Effort, learn, type System } from './learner.js'
import {
  accesses,
  answersOf,
  difference,
  type Machine,
  reachable,
  SILENCE,
  stateAfter,
} from './mealy.js'
import { SERVER_INPUTS, ServerSystem } from './server-system.js'

const deep = process.env['MCBN_LEARN'] === 'deep'
/** Clients take long: each word makes a socket. The document is about mcbn's own record layer. */
const RECORDS = deep ? (['mcbn', 'openssl'] as const) : (['mcbn'] as const)
const SHALLOW = { depth: 0, randomWords: 300, randomLength: 14 } as const
const DEEP = { depth: 1, randomWords: 3_000, randomLength: 14 } as const

const WHOLE_SERVER_HANDSHAKE = [
  'ClientHello',
  'ClientHello with cookie',
  'ClientKeyExchange',
  'ChangeCipherSpec',
  'Finished',
  'ApplicationData',
]
const WHOLE_CLIENT_HANDSHAKE = [
  'HelloVerifyRequest',
  'ServerHello',
  'ServerHelloDone',
  'ChangeCipherSpec',
  'Finished',
  'ApplicationData',
]

const machines = new Map<string, Machine>()
let document = ''

async function learnt(
  name: string,
  system: System & { close(): Promise<void> },
  effort: Omit<Effort, 'random'>,
): Promise<void> {
  try {
    const { machine, asked, rounds } = await learn(system, { ...effort, random: seeded(1) })
    machines.set(name, machine)
    if (process.env['MCBN_LEARN']) {
      console.log(`${name}: ${machine.size} states, ${asked} words, ${rounds} counterexamples`)
    }
    if (process.env['MCBN_LEARN'] === 'print') console.log(tableOf(machine))
  } finally {
    await system.close()
  }
}

beforeAll(async () => {
  document = await readFile(join(repositoryRoot, 'docs/STATE-MACHINE.md'), 'utf8')
  const written = (title: string, inputs: readonly string[]) => ({
    ...SHALLOW,
    expected: machineIn(document, title, inputs),
  })
  await learnt('server, document', new ServerSystem('mcbn'), written('A server', SERVER_INPUTS))
  await learnt('client, document', new ClientSystem('mcbn'), written('A client', CLIENT_INPUTS))
  for (const records of RECORDS) {
    if (!deep) continue
    await learnt(`server, ${records}`, new ServerSystem(records), DEEP)
    await learnt(`client, ${records}`, new ClientSystem(records), DEEP)
  }
}, 1_200_000)

describe.each(RECORDS)('dtls/learning, records of %s', (records) => {
  const of = (role: string): Machine =>
    machines.get(`${role}, ${deep ? records : 'document'}`) as Machine

  it.each([
    ['server', SERVER_INPUTS],
    ['client', CLIENT_INPUTS],
  ])('gives nobody a %s’s Finished or data without a right one', (role, inputs) => {
    const others = inputs.filter((input) => input !== 'Finished')
    const protectedAnswers = reachable(of(role), others).filter((answer) =>
      role === 'server' ? answer.includes('*') : /ApplicationData\*/.test(answer),
    )
    expect(protectedAnswers).toEqual([])
  })

  it('opens a server for the whole handshake, from every state, at the second try at the latest', () => {
    const machine = of('server')
    for (const word of accesses(machine, SERVER_INPUTS)) {
      const answers = answersOf(machine, [
        ...word,
        ...WHOLE_SERVER_HANDSHAKE,
        ...WHOLE_SERVER_HANDSHAKE,
      ])
      expect(answers.at(-1), word.join(', ')).toMatch(/ApplicationData\*$/)
    }
  })

  it('opens a client for the whole handshake, and for one that data overtakes', () => {
    const machine = of('client')
    const [data] = answersOf(machine, WHOLE_CLIENT_HANDSHAKE).slice(-1)
    expect(data).toBe('ApplicationData*')
    const overtaken = [
      ...WHOLE_CLIENT_HANDSHAKE.slice(0, 3),
      'Finished',
      'ApplicationData',
      'ChangeCipherSpec',
    ]
    expect(answersOf(machine, overtaken).at(-1)).toBe('ApplicationData*')
  })

  it('says nothing to messages that belong nowhere', () => {
    const machine = of('server')
    const early = [
      'ChangeCipherSpec',
      'Finished',
      'ApplicationData',
      'close_notify',
      'ClientKeyExchange',
    ]
    expect(answersOf(machine, early)).toEqual(early.map(() => SILENCE))
    expect(stateAfter(machine, early)).toBe(stateAfter(machine, []))
  })
})

describe('dtls/learning, the document', () => {
  it.each([
    ['server', 'A server', SERVER_INPUTS],
    ['client', 'A client', CLIENT_INPUTS],
  ])('has the machine that the %s is', (role, title, inputs) => {
    const written = machineIn(document, title, inputs)
    const found = machines.get(`${role}, document`) as Machine
    const word = difference(written, found, inputs)
    if (word) {
      expect(answersOf(found, word), word.join(', ')).toEqual(answersOf(written, word))
    }
    expect(word).toBeUndefined()
    expect(written.size).toBe(found.size)
  })
})
