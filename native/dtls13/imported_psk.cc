#include "dtls13/imported_psk.h"

namespace mcbn::dtls13 {

std::optional<ImportedPsk> importPsk(const ExternalPsk& external, const ImportTarget& target) {
  constexpr size_t kMost = 0xFFFF;  // of a PskIdentity and of each of its fields
  constexpr size_t kAround = 2 + 2 + 2 + 2;
  const size_t fields = external.identity.size() + external.context.size();
  if (external.key.empty() || external.identity.empty() || fields > kMost - kAround) {
    return std::nullopt;
  }
  // struct ImportedIdentity; the KDF's number is that of the IANA's TLS KDF Identifiers.
  ImportedPsk imported;
  Writer(imported.identity)
      .u16(external.identity.size())
      .bytes(external.identity)
      .u16(external.context.size())
      .bytes(external.context)
      .u16(target.protocol)
      .u16(target.kdf == PskHash::Sha384 ? 2 : 1);
  const Secret epskx = hkdfExtract(external.hash, {}, external.key);
  imported.key = hkdfExpandLabel(external.hash, epskx.view(), "derived psk",
                                 digestOf(external.hash, {imported.identity}),
                                 hashBytes(target.kdf), target.prefix);
  if (imported.key.empty()) return std::nullopt;
  return imported;
}

}  // namespace mcbn::dtls13
