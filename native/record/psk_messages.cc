#include "record/psk_messages.h"

#include <algorithm>

namespace mcbn {
namespace {

std::optional<ByteView> leadingVector(ByteView body) {
  Reader reader(body);
  ByteView value;
  if (!reader.vector16(value) || value.size() > kMaxPskIdentityBytes) return std::nullopt;
  return value;
}

// Binders stand in the order of the identities (RFC 8446 section 4.2.11).
bool parseBinders(ByteView binders, std::vector<OfferedPsk>& out, size_t offers) {
  Reader reader(binders);
  for (size_t i = 0; i < offers; i++) {
    ByteView binder;
    if (!reader.vector8(binder) || binder.size() < 32) return false;
    if (i < out.size()) out[i].binderLength = binder.size();
  }
  return reader.empty();
}

std::optional<size_t> parseOffers(ByteView data, std::vector<OfferedPsk>& out, size_t max) {
  Reader reader(data);
  ByteView identities, binders;
  if (!reader.vector16(identities) || identities.empty()) return std::nullopt;
  if (!reader.vector16(binders) || !reader.empty()) return std::nullopt;

  size_t offers = 0;
  for (Reader list(identities); !list.empty(); offers++) {
    OfferedPsk offer;
    if (!list.vector16(offer.identity) || offer.identity.empty()) return std::nullopt;
    if (!list.u32(offer.obfuscatedTicketAge)) return std::nullopt;
    if (offers < max) out.push_back(offer);
  }
  if (!parseBinders(binders, out, offers)) return std::nullopt;
  return offers;
}

bool isPrintable(uint8_t byte) { return byte > 0x20 && byte < 0x7F; }

}  // namespace

std::optional<ByteView> pskIdentityOf(ByteView clientKeyExchangeBody) {
  return leadingVector(clientKeyExchangeBody);
}

std::optional<ByteView> pskHintOf(ByteView serverKeyExchangeBody) {
  return leadingVector(serverKeyExchangeBody);
}

std::optional<size_t> parseOfferedPsks(ByteView preSharedKeyExtensionData,
                                       std::vector<OfferedPsk>& out, size_t max) {
  out.clear();
  const auto offers = parseOffers(preSharedKeyExtensionData, out, max);
  if (!offers) out.clear();
  return offers;
}

std::optional<std::string> hostNameOf(ByteView serverNameExtensionData) {
  constexpr uint8_t kHostName = 0;
  constexpr size_t kMaxHostNameBytes = 255;
  Reader reader(serverNameExtensionData);
  ByteView list, name;
  uint8_t type = 0;
  if (!reader.vector16(list) || !reader.empty()) return std::nullopt;
  // host_name is the only type there is, and a list has at most one name of a type.
  Reader entry(list);
  if (!entry.u8(type) || type != kHostName || !entry.vector16(name) || !entry.empty()) {
    return std::nullopt;
  }
  if (name.empty() || name.size() > kMaxHostNameBytes) return std::nullopt;
  if (!std::all_of(name.begin(), name.end(), isPrintable)) return std::nullopt;
  return std::string(name.begin(), name.end());
}

bool offersVersion(ByteView supportedVersionsExtensionData, uint16_t version) {
  Reader reader(supportedVersionsExtensionData);
  ByteView list;
  if (!reader.vector8(list) || !reader.empty() || list.size() % 2 != 0) return false;
  bool offered = false;
  Reader versions(list);
  for (uint16_t candidate = 0; versions.u16(candidate);) offered |= candidate == version;
  return offered;
}

}  // namespace mcbn
