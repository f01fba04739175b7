// The units, compose file and manifests of examples/deploy, each checked by its own linter; and every option in
// them is one that mcbn has.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as apps from 'kubernetes-models/apps/v1'
import * as networking from 'kubernetes-models/networking.k8s.io/v1'
import * as policy from 'kubernetes-models/policy/v1'
import * as core from 'kubernetes-models/v1'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { serveCommand } from '../../src/cli/consent/participant-serve.js'
import { workloadCommand } from '../../src/cli/consent/workload.js'
import { repositoryRoot, temporaryFolder } from '../support/paths.js'
import { requirePeer } from '../support/peers.js'

const folder = join(repositoryRoot, 'examples/deploy')
const read = (name: string) => readFileSync(join(folder, name), 'utf8')
const UNITS = readdirSync(join(folder, 'systemd'))
const COMPOSE = read('compose/compose.yaml')
const PARTICIPANT = read('kubernetes/participant.yaml')
const GATEWAY = read('kubernetes/gateway.yaml')

describe.skipIf(!requirePeer('systemd-analyze'))('deploy/systemd', () => {
  /** systemd wants the program to be there; what it says of the rest is what is looked for. */
  function verified(name: string, text: string, ...args: readonly string[]) {
    const path = join(temporaryFolder(), name.replace('@', '@alice'))
    writeFileSync(path, text.replaceAll('/usr/bin/mcbn', process.execPath))
    const { status, stdout, stderr } = spawnSync('systemd-analyze', [...args, path], {
      encoding: 'utf8',
      env: { ...process.env, SYSTEMD_LOG_LEVEL: 'warning' },
    })
    return { status, said: stdout + stderr }
  }

  it.each(UNITS)('%s is right for systemd-analyze verify, and exposed to little', (name) => {
    const text = read(`systemd/${name}`)
    expect(verified(name, text, 'verify')).toEqual({ status: 0, said: '' })
    // 2.0 of 10: "OK".
    const least = ['security', '--offline=true', '--threshold=20', '--no-pager']
    expect(verified(name, text, ...least)).toMatchObject({ status: 0 })
    // Both would say something.
    const slip = text.replace('ProtectHome=yes', 'ProtektHome=yes')
    expect(verified(name, slip, 'verify').said).toMatch(/ProtektHome/)
    const open = text.replaceAll(/^(Protect|Restrict|System|Capability|Private).*$/gm, '')
    expect(verified(name, open, ...least)).toMatchObject({ status: 1 })
  })
})

describe('deploy/compose', () => {
  const dclint = join(repositoryRoot, 'node_modules/dclint/bin/dclint.cjs')
  function problems(text: string): string[] {
    const path = join(temporaryFolder(), 'compose.yaml')
    writeFileSync(path, text)
    const { stdout } = spawnSync(process.execPath, [dclint, '--formatter', 'json', path], {
      encoding: 'utf8',
    })
    const results = JSON.parse(stdout) as { messages: { message: string }[] }[]
    expect(results).toHaveLength(1)
    return results.flatMap(({ messages }) => messages.map(({ message }) => message))
  }

  it('is right for dclint, which knows the schema of compose', () => {
    expect(problems(COMPOSE)).toEqual([])
    expect(problems(COMPOSE.replace('read_only:', 'readonly:'))).not.toEqual([])
  })

  it('runs without root, new privileges, a writable root or an open page', () => {
    const { participant } = parse(COMPOSE).services
    expect(participant).toMatchObject({
      user: '65532:65532',
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    })
    const inner = participant.ports.filter((port: string) => !port.endsWith(':7001'))
    expect(inner.every((port: string) => port.startsWith('127.0.0.1:'))).toBe(true)
  })
})

describe('deploy/kubernetes', () => {
  const KINDS = {
    PersistentVolumeClaim: [core.PersistentVolumeClaim, 'v1'],
    Service: [core.Service, 'v1'],
    StatefulSet: [apps.StatefulSet, 'apps/v1'],
    NetworkPolicy: [networking.NetworkPolicy, 'networking.k8s.io/v1'],
    PodDisruptionBudget: [policy.PodDisruptionBudget, 'policy/v1'],
  } as const
  type Manifest = { readonly kind: keyof typeof KINDS; readonly apiVersion: string }

  const manifests = (text: string) =>
    parseAllDocuments(text).map((document) => document.toJS() as Manifest)

  /** Names and types, by the compiler: objects written out may have no field too many. */
  function typeErrors(all: readonly Manifest[]): string[] {
    const path = join(repositoryRoot, 'test/deploy/written-out.ts')
    const source = all
      .map(({ kind, ...fields }, at) => {
        const [, module] = KINDS[kind]
        const name = `I${kind}`
        const value = JSON.stringify({ kind, ...fields })
        return `import type { ${name} as T${at} } from 'kubernetes-models/${module}'\nexport const m${at}: T${at} = ${value}`
      })
      .join('\n')
    const options: ts.CompilerOptions = {
      ...{ strict: true, noEmit: true, skipLibCheck: true, types: [] },
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
    }
    const host = ts.createCompilerHost(options)
    const { getSourceFile, fileExists } = host
    host.fileExists = (name) => name === path || fileExists(name)
    host.getSourceFile = (name, language, ...rest) =>
      name === path
        ? ts.createSourceFile(name, source, language)
        : getSourceFile(name, language, ...rest)
    return ts
      .getPreEmitDiagnostics(ts.createProgram([path], options, host))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
  }

  function invalid(all: readonly Manifest[]): string[] {
    return all.flatMap((manifest) => {
      try {
        new KINDS[manifest.kind][0](manifest as never).validate()
        return []
      } catch (error) {
        return [String(error)]
      }
    })
  }

  it("is right by Kubernetes' own schemas, without a field too many", () => {
    const all = [PARTICIPANT, GATEWAY].flatMap(manifests)
    expect([...new Set(all.map(({ kind }) => kind))].sort()).toEqual(Object.keys(KINDS).sort())
    expect(invalid(all)).toEqual([])
    // One more beside them that has a slip: it would be noticed, and is all that is.
    const slip = manifests(PARTICIPANT.replace('runAsNonRoot:', 'runAsNonroot:'))
    const noticed = typeErrors([...all, ...slip.filter(({ kind }) => kind === 'StatefulSet')])
    expect(noticed).toEqual([expect.stringContaining('runAsNonroot')])
    expect(invalid(manifests(PARTICIPANT.replace('replicas: 1', 'replicas: one')))).not.toEqual([])
  })

  it.each([
    { text: PARTICIPANT, what: 'a participant' },
    { text: GATEWAY, what: 'a node of a fleet' },
  ])('runs $what without root, new privileges, a writable root or a token', ({ text }) => {
    const set = manifests(text).find(({ kind }) => kind === 'StatefulSet') as apps.StatefulSet
    const pod = set.spec?.template.spec
    expect(pod).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true },
    })
    expect(pod?.containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  })
})

it('deploy: the ports, files and folders of the fleet are those of its program', () => {
  const program = readFileSync(join(folder, 'kubernetes/gateway.ts'), 'utf8')
  const set = parseAllDocuments(GATEWAY)
    .map((document) => document.toJS())
    .find(({ kind }) => kind === 'StatefulSet')
  const [container] = set.spec.template.spec.containers
  const inProgram = (text: string | number) => expect(program).toContain(`'${text}'`)
  for (const { containerPort } of container.ports) inProgram(containerPort)
  for (const { mountPath } of container.volumeMounts) inProgram(mountPath)
  for (const { name } of container.env) inProgram(name)
  const files = [...GATEWAY.matchAll(/--from-file=(\S+)/g)].map(([, name]) => name as string)
  expect(files).toHaveLength(5)
  files.forEach(inProgram)
})

it('deploy: every option is one that mcbn has', () => {
  const known = [serveCommand(() => undefined), ...workloadCommand(() => undefined).commands]
    .flatMap(({ options }) => options)
    .map(({ long }) => long)
  const texts = [COMPOSE, PARTICIPANT, ...UNITS.map((unit) => read(`systemd/${unit}`))]
  const used = texts.flatMap((text) =>
    text
      .split('\n')
      .flatMap((line) =>
        line.trim().startsWith('#') ? [] : (line.match(/(?<=\s)--[a-z][\w-]*/g) ?? []),
      ),
  )
  expect(used.length).toBeGreaterThan(20)
  expect(used.filter((option) => !known.includes(option))).toEqual([])
})
