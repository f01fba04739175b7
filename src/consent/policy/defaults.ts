// The one place where a policy's defaults are written (the schema repeats them for editors, and a test
// keeps both equal), and what no policy can allow.

import type { Policy, PolicyRole, SignedImageRule } from './types.js'

/** What a policy means where it says nothing. */
export const POLICY_DEFAULTS = {
  hardware: ['GCP_INTEL_TDX', 'GCP_AMD_SEV', 'GCP_AMD_SEV_ES'],
  software: 'CONFIDENTIAL_SPACE',
  support: 'STABLE',
  atLeast: 1,
  rootsOfTrust: 1,
  instances: 1,
  approval: 'automatic',
  leaseSeconds: 600,
  tokenAgeSeconds: 300,
} as const satisfies Partial<PolicyRole> & Partial<Policy> & Partial<SignedImageRule>

/** Required of every workload; no policy can say otherwise. */
export const DEBUG_DISABLED = 'disabled-since-boot'

/**
 * What the workload's measured environment has to carry: the pinned hash of the descriptor, 64 lower-case
 * hex digits. The image cannot have it (the descriptor names the image's digest), so it is the operator
 * who sets it, and to set it is no override that a policy would have to list: it has one allowed value,
 * and any other, or none, is refused.
 */
export const DESCRIPTOR_HASH_VARIABLE = 'MCBN_DESCRIPTOR_HASH'

/** Shares would be readable by the operator: these have no encrypted memory. */
export const HARDWARE_NEVER: ReadonlySet<string> = new Set(['GCP_SHIELDED_VM'])

/**
 * Environment variables that make a right image do something else, or tell its secrets: code loaded before
 * the program's own, other libraries, roots of trust, configuration of OpenSSL, key logs, traces and dumps.
 * Refused even where a policy names them. In upper case; compared without regard to case.
 */
const ENVIRONMENT_NEVER: ReadonlySet<string> = new Set([
  // Node.js (node --help): code, modules, trust, what it prints or writes to files
  'NODE_OPTIONS',
  'NODE_PATH',
  'NODE_REPL_EXTERNAL_MODULE',
  'NODE_COMPILE_CACHE',
  'NODE_CHANNEL_FD',
  'NODE_INSPECT_RESUME_ON_START',
  'NODE_PRESERVE_SYMLINKS',
  'NODE_PRESERVE_SYMLINKS_MAIN',
  'NODE_EXTRA_CA_CERTS',
  'NODE_USE_SYSTEM_CA',
  'NODE_TLS_REJECT_UNAUTHORIZED',
  'NODE_DEBUG',
  'NODE_DEBUG_NATIVE',
  'NODE_REDIRECT_WARNINGS',
  'NODE_REPL_HISTORY',
  'NODE_V8_COVERAGE',
  'NODE_ICU_DATA',
  'ICU_DATA',
  'V8_OPTIONS',
  'TSX_TSCONFIG_PATH',
  'PREBUILDS_ONLY',
  // TLS libraries
  'SSLKEYLOGFILE',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'CTLOG_FILE',
  'RANDFILE',
  'QLOGDIR',
  // the C library
  'GLIBC_TUNABLES',
  'GCONV_PATH',
  'LOCPATH',
  'NLSPATH',
  'GETCONF_DIR',
  'HOSTALIASES',
  'LOCALDOMAIN',
  'RES_OPTIONS',
  'RESOLV_HOST_CONF',
  'RESOLV_MULTI',
  // shells, and other languages that an entry point may pass through
  'ENV',
  'IFS',
  'PS4',
  'CDPATH',
  'GLOBIGNORE',
  'PROMPT_COMMAND',
  'SHELLOPTS',
  'PERL5LIB',
  'PERL5OPT',
  'PERL5DB',
  'RUBYLIB',
  'RUBYOPT',
  'JAVA_TOOL_OPTIONS',
  'JDK_JAVA_OPTIONS',
  '_JAVA_OPTIONS',
])
/** Whole families: the dynamic linker, OpenSSL, the allocator, bash, Python, npm. */
const ENVIRONMENT_NEVER_PREFIXES = [
  'LD_',
  'DYLD_',
  'OPENSSL_',
  'MALLOC_',
  'BASH_',
  'BASHOPTS',
  'PYTHON',
  'NPM_CONFIG_',
] as const

/** Whether an environment variable is refused whatever a policy says. */
export function isNeverAllowed(name: string): boolean {
  const upper = name.toUpperCase()
  return (
    ENVIRONMENT_NEVER.has(upper) ||
    ENVIRONMENT_NEVER_PREFIXES.some((prefix) => upper.startsWith(prefix))
  )
}
