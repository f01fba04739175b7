import type { NativeSystemError } from '../native/dtls.js'

/** A system call's error as Node makes them: `bind EADDRINUSE 127.0.0.1:8081`, with code and syscall. */
export function systemError(
  { code, syscall, errno }: NativeSystemError,
  address: string,
  port: number,
): NodeJS.ErrnoException {
  const where = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  const error = new Error(`${syscall} ${code} ${where}`)
  return Object.assign(error, { code, syscall, errno, address, port })
}
