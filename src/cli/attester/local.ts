// The keys of a local attester, and its socket.

import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import type { LocalWorkload } from '../../consent/attestation/local/claims.js'
import { createLocalIssuer, type LocalIssuer } from '../../consent/attestation/local/issuer.js'
import { serveLauncher } from '../../consent/attestation/local/launcher.js'
import { readInput, shellWord, writeNew } from '../consent/files.js'
import { programOf } from '../consent/images.js'
import { report } from '../consent/report.js'
import { EXIT, type Finish, UsageError } from '../exit.js'
import { warn } from '../log.js'
import { onStopSignal } from '../signals.js'

/** No machine has a name in this domain (RFC 6761 section 6.4). */
const DEFAULT_ISSUER = 'https://local-attester.invalid'
const KEY_FILE = 'key.pem'
const ISSUER_FILE = 'issuer.json'
const MOST_BYTES = 64 * 1024
const WARNING = 'PROVES NOTHING: this attester measures nothing, it says what it was told to say'

interface InitFlags {
  readonly issuer: string
  readonly json?: boolean
}

export function initSubcommand(): Command {
  return new Command('init')
    .summary('make the keys of a local attester')
    .description(
      'Make a folder with the key of a local attester, and issuer.json for participants who try it.',
    )
    .argument('<folder>', 'made, for you alone (mode 700)')
    .option('--issuer <url>', 'its name in tokens and policies', DEFAULT_ISSUER)
    .option('--json', 'one JSON object instead of sentences')
    .action(async (folder: string, { issuer, json }: InitFlags) => {
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
      const made = await createLocalIssuer({ issuer, keys: [privateKey] })
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
      await writeNew(join(folder, KEY_FILE), 'folder', pem, 0o600)
      const trust = join(folder, ISSUER_FILE)
      await writeNew(trust, 'folder', `${JSON.stringify({ issuer, jwks: made.jwks() })}\n`, 0o644)
      report(json, { folder, issuer, trust }, [
        `${folder}: keys of a local attester, ${issuer}`,
        WARNING,
        `next: mcbn participant init … --local-issuer ${shellWord(trust)}`,
      ])
    })
}

interface LocalFlags {
  readonly issuer: string
  readonly socket: string
  readonly image: string
  readonly env?: Readonly<Record<string, string>>
  readonly arg?: readonly string[]
  readonly anyone?: boolean
  readonly json?: boolean
}

export function localSubcommand(finish: Finish): Command {
  return new Command('local')
    .summary("serve the launcher's socket, until you stop it")
    .description(
      "Serve the socket of Confidential Space's launcher for one workload, until SIGINT or SIGTERM (exit code 0).\n" +
        'Anyone who may open it gets tokens that say it is this workload.',
    )
    .requiredOption('--issuer <folder>', 'made by mcbn attester init')
    .requiredOption('--socket <path>', 'made; goes when this ends')
    .requiredOption(
      '--image <layout|digest>',
      'what it says is running, with the arguments and environment of a layout',
    )
    .addOption(
      new Option(
        '--env <name=value>',
        "what the operator sets in the workload's environment; for each",
      ).argParser((text: string, before: Readonly<Record<string, string>> = {}) => ({
        ...before,
        ...variable(text),
      })),
    )
    .option('--arg <text...>', 'the arguments, instead of those of the layout')
    .option(
      '--anyone',
      'let all users of this machine open the socket, a container with another user too',
    )
    .option('--json', 'one JSON object instead of sentences')
    .action(async (flags: LocalFlags) => {
      const { socket, json, anyone } = flags
      const workload = await workloadOf(flags)
      const launcher = await serveLauncher({
        socketPath: socket,
        issuer: await issuerOf(flags.issuer),
        workload,
      })
      if (anyone === true) await chmod(socket, 0o666)
      onStopSignal(async () => {
        await launcher.close()
        finish(EXIT.ok)
      })
      if (json === true) warn(WARNING)
      else process.stderr.write(`mcbn: ${WARNING}\n`)
      report(json, { event: 'attesting', imageDigest: workload.imageDigest, socket }, [
        `attesting ${workload.imageDigest} on ${socket}`,
      ])
    })
}

async function issuerOf(folder: string): Promise<LocalIssuer> {
  const pem = await readInput(join(folder, KEY_FILE), '--issuer', MOST_BYTES)
  const about = await readInput(join(folder, ISSUER_FILE), '--issuer', MOST_BYTES)
  try {
    const { issuer } = JSON.parse(about.toString('utf8')) as { readonly issuer: string }
    return await createLocalIssuer({ issuer, keys: [createPrivateKey(pem)] })
  } catch (cause) {
    throw new UsageError(`--issuer: expected a folder of mcbn attester init, got ${folder}`, {
      cause,
    })
  } finally {
    pem.fill(0)
  }
}

/** As the platform reports a container: the image's environment with what the operator set. */
async function workloadOf({ image, env = {}, arg }: LocalFlags): Promise<LocalWorkload> {
  const program = image.startsWith('sha256:')
    ? { imageDigest: image, args: [], env: {} }
    : await ofLayout(image)
  return {
    ...program,
    ...(arg !== undefined && { args: arg }),
    env: { ...program.env, ...env },
    overriddenEnv: env,
  }
}

async function ofLayout(path: string): Promise<LocalWorkload> {
  const { readLayout } = await import('../../image/layout.js')
  const { digest, config } = await readLayout(path)
  const { args, env } = programOf(config)
  return { imageDigest: digest, args, env }
}

function variable(text: string): Record<string, string> {
  const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(text) ?? []
  if (name !== undefined && value !== undefined) return { [name]: value }
  throw new UsageError('--env: expected <name>=<value>')
}
