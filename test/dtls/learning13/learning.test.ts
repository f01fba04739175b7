// What mcbn does with every order of a handshake's messages of DTLS 1.3, and of those of an open session, learnt by
// asking it (RFC 9147 sections 5 and 8): as docs/STATE-MACHINE-DTLS13.md says, and strangers change nothing.
//
// MCBN_LEARN=deep tries ten times as many random words; MCBN_LEARN=print prints the tables for the document.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { repositoryRoot } from '../../support/paths.js'
import { seeded } from '../../support/random.js'
import { machineIn, tableOf } from '../learning/document.js'
import { learn, type System } from '../learning/learner.js'
import {
  accesses,
  answersOf,
  difference,
  type Machine,
  reachable,
  stateAfter,
} from '../learning/mealy.js'
import { STRANGERS } from './client.js'
import { ClientSystem13 } from './client-system.js'
import { STRANGERS as STRANGE_SERVERS } from './server.js'
import { ServerSystem13 } from './server-system.js'
import { CLIENT_HANDSHAKE, CLIENT_SESSION, SERVER_HANDSHAKE, SERVER_SESSION } from './stages.js'

const deep = process.env['MCBN_LEARN'] === 'deep'
const RANDOM_WORDS = deep ? 3_000 : 300
const RANDOM_LENGTH = 14

const SYSTEMS: Readonly<Record<string, () => System>> = {
  'A server until it is open': () => new ServerSystem13(SERVER_HANDSHAKE),
  'A server that is open': () => new ServerSystem13(SERVER_SESSION),
  'A client until it is open': () => new ClientSystem13(CLIENT_HANDSHAKE),
  'A client that is open': () => new ClientSystem13(CLIENT_SESSION),
}
const WHOLE_SERVER_HANDSHAKE = [
  'ClientHello',
  'ClientHello with cookie',
  'Finished',
  'ApplicationData',
]
const WHOLE_CLIENT_HANDSHAKE = [
  'HelloRetryRequest',
  'ServerHello',
  'EncryptedExtensions',
  'Finished',
  'ApplicationData',
]

const machines = new Map<string, Machine>()
let document = ''

beforeAll(async () => {
  document = await readFile(join(repositoryRoot, 'docs/STATE-MACHINE-DTLS13.md'), 'utf8')
  for (const [name, make] of Object.entries(SYSTEMS)) {
    const effort = { depth: 0, randomWords: RANDOM_WORDS, randomLength: RANDOM_LENGTH }
    const { machine, asked, rounds } = await learn(make(), { ...effort, random: seeded(1) })
    machines.set(name, machine)
    if (process.env['MCBN_LEARN']) {
      console.log(`${name}: ${machine.size} states, ${asked} words, ${rounds} counterexamples`)
    }
    if (process.env['MCBN_LEARN'] === 'print') console.log(tableOf(machine))
  }
}, 1_800_000)

const of = (name: string): Machine => machines.get(name) as Machine

describe('dtls13/learning', () => {
  it.each([
    ['A server until it is open', STRANGERS],
    ['A client until it is open', STRANGE_SERVERS],
  ])('%s says nothing protected to a stranger', (name, inputs) => {
    const heard = reachable(of(name), inputs).filter((answer) => answer.includes('*'))
    expect(heard).toEqual([])
  })

  it.each([
    ['A server until it is open', SERVER_HANDSHAKE.inputs],
    ['A client until it is open', CLIENT_HANDSHAKE.inputs],
  ])('%s gives nobody a message, or takes one, without the right Finished', (name, inputs) => {
    const others = inputs.filter((input) => input !== 'Finished')
    expect(reachable(of(name), others).filter((answer) => answer.includes('**'))).toEqual([])
  })

  it.each([
    ['A server that is open', STRANGERS],
    ['A client that is open', STRANGE_SERVERS],
  ])('%s is moved by nothing that a stranger says (RFC 9147 section 4.5.2)', (name, inputs) => {
    const machine = of(name)
    for (const word of accesses(machine, [...(machine.values().next().value?.keys() ?? [])])) {
      for (const input of inputs) {
        const moved = stateAfter(machine, [...word, input])
        expect(moved, [...word, input].join(', ')).toBe(stateAfter(machine, word))
      }
    }
  })

  it('opens a server for the whole handshake, from every state, at the second try at the latest', () => {
    const machine = of('A server until it is open')
    for (const word of accesses(machine, SERVER_HANDSHAKE.inputs)) {
      const tries = [...WHOLE_SERVER_HANDSHAKE, ...WHOLE_SERVER_HANDSHAKE]
      expect(answersOf(machine, [...word, ...tries]).at(-1), word.join(', ')).toMatch(
        /ApplicationData\*\*/,
      )
    }
  })

  it('opens a client for the whole handshake, with and without a cookie', () => {
    const machine = of('A client until it is open')
    expect(answersOf(machine, WHOLE_CLIENT_HANDSHAKE).at(-1)).toBe('ApplicationData**')
    expect(answersOf(machine, WHOLE_CLIENT_HANDSHAKE.slice(1)).at(-1)).toBe('ApplicationData**')
  })
})

describe('dtls13/learning, the document', () => {
  it.each(Object.keys(SYSTEMS))('has the machine of: %s', (name) => {
    const found = of(name)
    const inputs = [...(found.values().next().value?.keys() ?? [])]
    const written = machineIn(document, name, inputs)
    const word = difference(written, found, inputs)
    if (word) {
      expect(answersOf(found, word), word.join(', ')).toEqual(answersOf(written, word))
    }
    expect(word).toBeUndefined()
    expect(written.size).toBe(found.size)
  })
})
