#!/usr/bin/env node
// The command `mcbn`. Everything it can do is a file beside this one.

import { existsSync, readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import {
  EXIT,
  errorFields,
  errorLine,
  exitCodeOf,
  type Finish,
  Interrupted,
  UsageError,
} from './exit.js'
import { fitHelp, helpColumns } from './help.js'
import { logLine, wantsJson } from './log.js'
import { misspeltHelp, misspeltOption } from './misspelt.js'
import { addParts, type Parts } from './parts.js'

let finishing = false

/** Output may be a pipe, which Node.js writes to in the background: it has to leave first. */
const finish: Finish = (code) => {
  if (finishing) return
  finishing = true
  const exit = () => process.exit(code)
  process.stdout.write('', () => process.stderr.write('', exit))
}

// A reader that went away is not a failure of ours; code that needs to know listens too (output.ts).
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
process.on('uncaughtException', (error) => {
  process.stderr.write(`${lastLine(error)}\n`)
  finish(EXIT.failure)
})

const COMMANDS: Parts = {
  listen: async () => (await import('./listen.js')).listenCommand(finish),
  connect: async () => (await import('./connect.js')).connectCommand(finish),
  derive: async () => (await import('./derive.js')).deriveCommand(),
  ceremony: async () => (await import('./consent/ceremony.js')).ceremonyCommand(finish),
  descriptor: async () => (await import('./consent/descriptor.js')).descriptorCommand(),
  participant: async () =>
    await (await import('./consent/participant.js')).participantCommand(finish, process.argv[3]),
  workload: async () => (await import('./consent/workload.js')).workloadCommand(finish),
  attester: async () => (await import('./attester.js')).attesterCommand(finish),
  image: async () => (await import('./image.js')).imageCommand(finish),
  split: async () => (await import('./consent/split.js')).splitCommand(),
  combine: async () => (await import('./consent/combine.js')).combineCommand(),
  ...ofCheckout('bench', async () => (await import('./bench/command.js')).benchCommand(finish)),
  ...ofCheckout('demo', async () => (await import('./demo/command.js')).demoCommand(finish)),
}

const program = new Command('mcbn')
  .description('connect only when enough participants agree: PSK TLS 1.3, TLS 1.2 and DTLS 1.2')
  .version(version(), '-V, --version')
  .addHelpText('after', '\nmcbn <command> --help tells the options and gives examples.')

try {
  const [, , typed] = process.argv
  if (typed === undefined) {
    throw new UsageError(`expected a command: ${Object.keys(COMMANDS).join(', ')}`)
  }
  if ((typed === 'bench' || typed === 'demo') && !Object.hasOwn(COMMANDS, typed)) {
    throw new UsageError(
      `${typed}: expected a checkout of mcbn, got the installed package, which leaves it out; ` +
        `in the folder of its source, from where you have the package: npm ci, then npx mcbn ${typed}` +
        (typed === 'demo'
          ? '; docs/TUTORIAL.md in the package does the same command by command'
          : ''),
    )
  }
  await addParts(program, COMMANDS, typed)
  for (const command of withParts(program)) {
    // Errors are ours to print, as one line; help and version go to stdout as they are.
    const columns = helpColumns(process.stdout)
    command
      // Broken once, here: commander would break what is broken in the sources a second time.
      .description(command.description().replaceAll('\n', ' '))
      .exitOverride()
      .configureOutput({
        getOutHelpWidth: () => columns,
        writeOut: (text) => process.stdout.write(fitHelp(text, columns)),
        outputError: () => undefined,
        writeErr: () => undefined,
      })
  }
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError && error.exitCode === 0) {
    finish(EXIT.ok)
  } else if (error instanceof Interrupted) {
    finish(error.exitCode)
  } else {
    const shown = error instanceof CommanderError ? new UsageError(withoutValues(error)) : error
    process.stderr.write(`${lastLine(shown, typedCommand().name)}\n`)
    finish(exitCodeOf(shown))
  }
}

/** A command that the package leaves out ("files" in package.json): there is its folder, or no such command. */
function ofCheckout(name: 'bench' | 'demo', load: () => Promise<Command>): Parts {
  return existsSync(new URL(`./${name}/`, import.meta.url)) ? { [name]: load } : {}
}

/** The one line of a command that fails, as people or machines want it. */
function lastLine(error: unknown, command?: string): string {
  return wantsJson()
    ? logLine({ event: 'error', ...errorFields(error) })
    : errorLine(error, command)
}

/** commander's sentence; a mistyped `--pks=<key>` must not show the key. */
function withoutValues(error: CommanderError): string {
  const { command, depth } = typedCommand()
  const rest = process.argv.slice(2 + depth)
  if (error.code === 'commander.missingMandatoryOptionValue') {
    const misspelt = misspeltOption(command, rest)
    if (misspelt !== undefined) return misspelt
  }
  // A group of commands by itself: commander would print the help.
  if (error.code === 'commander.help') {
    return misspeltHelp(command, rest) ?? `expected one of its commands: ${partsOf(command)}`
  }
  return error.message
    .replace(/^error: /, '')
    .replace(/'(--?[^'=]*)=[^']*'/, "'$1'")
    .replace(/\s*\n\s*/g, ' ')
}

/** The command that --help is offered for, as deep as it was typed. */
function typedCommand(): {
  readonly command: Command
  readonly name: string | undefined
  /** How many words name it. */
  readonly depth: number
} {
  const names: string[] = []
  let command = program
  for (const typed of process.argv.slice(2)) {
    const part = command.commands.find((candidate) => candidate.name() === typed)
    if (part === undefined) break
    command = part
    names.push(typed)
  }
  const name = names.length === 0 ? undefined : names.join(' ')
  return { command, name, depth: names.length }
}

function partsOf(command: Command): string {
  return command.commands.map((part) => part.name()).join(', ')
}

function withParts(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withParts)]
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
