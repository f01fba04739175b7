// A participant in a process whose memory is read. What it does when is said on stdin; it holds no other copy of a
// secret than mcbn's.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createVerifiers } from '../../src/consent/attestation/verifiers.js'
import { importPrivate } from '../../src/consent/base/keys.js'
import { verifySignedDescriptor } from '../../src/consent/descriptor/signed.js'
import { serveParticipant } from '../../src/consent/participant/http.js'
import { createParticipant, type Participant } from '../../src/consent/participant/participant.js'
import { parsePolicy } from '../../src/consent/policy/parse.js'
import { collected } from './collect.js'

const { secretsFile, descriptor, label, policy: rules } = JSON.parse(`${process.argv[2]}`)
const say = (event: object): void => console.log(JSON.stringify(event))

/** What the search has to find: bytes that nothing has wiped. */
const planted = createHash('sha256').update('planted').digest()

const policy = parsePolicy(rules)

/** In a function: what a module's own code has at hand is never collected. */
function begin(): Participant {
  const secrets = readFileSync(secretsFile)
  const [share, ed25519, x25519] = [0, 32, 64].map((at) => secrets.subarray(at, at + 32)) as [
    Buffer,
    Buffer,
    Buffer,
  ]
  const participant = createParticipant({
    descriptor: verifySignedDescriptor(descriptor),
    label,
    keys: importPrivate({ ed25519, x25519 }),
    share,
    policy,
    verifiers: createVerifiers(policy).values(),
  })
  secrets.fill(0)
  return participant
}
const participant = begin()
const server = await serveParticipant(participant)
say({ url: server.url })

createInterface({ input: process.stdin }).on('line', async (line) => {
  if (line === 'withdraw') await participant.withdraw()
  if (line === 'close') {
    await server.close()
    await participant.close()
  }
  if (line === 'collect') await collected()
  if (line === 'end') process.exit(planted.length === 32 ? 0 : 1)
  say({ did: line })
})
