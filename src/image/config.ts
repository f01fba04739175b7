// What an image says about itself: its program, user, ports, and the labels that Confidential Space's launcher obeys.
// https://github.com/opencontainers/image-spec/blob/main/config.md

import type { App } from './app.js'
import { NODE_PATH, USER } from './base.js'
import type { Layer } from './layer.js'
import { ARCHITECTURE, type Platform } from './lock.js'
import { MCBN_FOLDER } from './own.js'

export const IMAGE_ROLES = ['client', 'server', 'participant'] as const
export type ImageRole = (typeof IMAGE_ROLES)[number]

export const MEDIA_TYPE = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const

export const LABEL = {
  role: 'mcbn.role',
  app: 'mcbn.app',
} as const

export interface ImageConfig {
  readonly architecture: string
  readonly os: string
  readonly created: string
  readonly config: {
    readonly User: string
    readonly Env: readonly string[]
    readonly Entrypoint: readonly string[]
    readonly Cmd?: readonly string[]
    readonly ExposedPorts?: Readonly<Record<string, object>>
    readonly Volumes?: Readonly<Record<string, object>>
    readonly WorkingDir: string
    readonly StopSignal: string
    readonly Labels: Readonly<Record<string, string>>
  }
  readonly rootfs: { readonly type: 'layers'; readonly diff_ids: readonly string[] }
  readonly history: readonly { readonly created: string; readonly created_by: string }[]
}

export interface ConfigInput {
  readonly role: ImageRole
  readonly platform: Platform
  readonly app: App | undefined
  /** Of mcbn. */
  readonly version: string
  /** Seconds since 1970. */
  readonly created: number
  readonly layers: readonly Layer[]
}

/** What runs. */
interface Program {
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly expose: readonly string[]
  readonly volumes?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What the operator may set. */
  readonly allowEnvOverride: readonly string[]
}

const COMMAND = `/${MCBN_FOLDER}/dist/cli/main.js`
const FOR_ALL = ['MCBN_DESCRIPTOR_HASH', 'MCBN_DESCRIPTOR', 'MCBN_PARTICIPANTS'] as const
/** What the server of mcbn itself listens on, inside its container. */
const PORT = 8443

/** The images without a program of somebody else: mcbn's own commands. */
const OWN: Readonly<Record<ImageRole, Program>> = {
  server: {
    entrypoint: [NODE_PATH, COMMAND, 'workload', 'server'],
    cmd: ['--listen', `tls://0.0.0.0:${PORT}`, '--listen', `dtls://0.0.0.0:${PORT}`, '--echo'],
    expose: [`${PORT}/tcp`, `${PORT}/udp`],
    allowEnvOverride: FOR_ALL,
  },
  client: {
    entrypoint: [NODE_PATH, COMMAND, 'workload', 'client'],
    cmd: [],
    expose: [],
    allowEnvOverride: [...FOR_ALL, 'MCBN_CONNECT'],
  },
  participant: {
    entrypoint: [NODE_PATH, COMMAND, 'participant', 'serve', '--dir', '/participant'],
    cmd: ['--listen', '0.0.0.0:7001', '--key-file', '/run/secrets/mcbn-participant'],
    expose: ['7001/tcp'],
    volumes: ['/participant'],
    allowEnvOverride: [],
  },
}

export function imageConfig(input: ConfigInput): ImageConfig {
  const { role, platform, app, created, layers } = input
  const program = app === undefined ? OWN[role] : programOf(app)
  const time = new Date(created * 1_000).toISOString().replace('.000Z', 'Z')
  const env = { PATH: '/usr/bin', NODE_ENV: 'production', ...program.env }
  return {
    architecture: ARCHITECTURE[platform].debian,
    os: 'linux',
    created: time,
    config: {
      User: `${USER.uid}:${USER.gid}`,
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      Entrypoint: program.entrypoint,
      ...(program.cmd.length > 0 && { Cmd: program.cmd }),
      ...(program.expose.length > 0 && { ExposedPorts: setOf(program.expose) }),
      ...(program.volumes !== undefined && { Volumes: setOf(program.volumes) }),
      WorkingDir: '/app',
      StopSignal: 'SIGTERM',
      Labels: labelsOf(input, program),
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ title }) => ({
      created: time,
      created_by: `mcbn image build: ${title}`,
    })),
  }
}

function programOf({ main, settings }: App): Program {
  return {
    entrypoint: [NODE_PATH, ...settings.nodeArgs, `/app/${main}`],
    cmd: settings.args,
    expose: settings.expose,
    env: settings.env,
    allowEnvOverride: settings.allowEnvOverride,
  }
}

/**
 * The launch policy (google/go-tpm-tools, launcher/spec): the operator may set the variables named, and nothing
 * else. No label allows mounts: one without a path in it would be a label all the same.
 */
function labelsOf({ role, app, version }: ConfigInput, program: Program): Record<string, string> {
  return {
    [LABEL.role]: role,
    ...(app !== undefined && { [LABEL.app]: `${app.name}@${app.version}` }),
    'org.opencontainers.image.title': app?.name ?? `mcbn-${role}`,
    'org.opencontainers.image.version': app?.version ?? version,
    'tee.launch_policy.allow_cmd_override': 'false',
    'tee.launch_policy.allow_env_override': program.allowEnvOverride.join(','),
    'tee.launch_policy.allow_capabilities': 'false',
    'tee.launch_policy.allow_cgroups': 'false',
    'tee.launch_policy.log_redirect': 'never',
    'tee.launch_policy.hardened_monitoring': 'none',
    'tee.launch_policy.debug_monitoring': 'none',
  }
}

function setOf(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, {}]))
}
