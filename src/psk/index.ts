// mcbn/psk: keys, their derivation, their files, their identities. Works without the addon.

export type { McbnErrorCode, McbnErrorKind } from '../errors.js'
export { McbnError } from '../errors.js'
export type {
  KeyProtocol,
  LabelledShares,
  Mcbn1Options,
  OriginalSchemeOptions,
  Scheme,
} from './derive.js'
export { derivePsk, KEY_PROTOCOLS, SCHEMES } from './derive.js'
export type { PskFileOptions } from './file.js'
export { loadPskFile, parsePskFile } from './file.js'
export type { PskFileFormat } from './file-formats.js'
export { PSK_FILE_FORMATS } from './file-formats.js'
export { hkdfExpand, hkdfExtract } from './hkdf.js'
export {
  IDENTITY_MAX_BYTES,
  IDENTITY_MAX_BYTES_TLS13,
  identityBytes,
  identityText,
} from './identity.js'
export type { ImportedPsk, ImportPskOptions } from './importer.js'
export { importPsk } from './importer.js'
export { copyPskKey, KEY_MAX_BYTES, KEY_MIN_BYTES, parseKeyText } from './key.js'
export type { Share } from './share.js'
export { SHARE_BYTES } from './share.js'
export type {
  DtlsVersion,
  PskAnswer,
  PskClientLookup,
  PskClientSource,
  PskCredential,
  PskEntry,
  PskHash,
  PskKey,
  PskLookup,
  PskProtocol,
  PskQuery,
  PskSource,
  PskTable,
} from './types.js'
