#include "binding/dtls13_settings.h"

#include "binding/convert.h"
#include "binding/fields.h"

namespace mcbn {

Dtls13Made dtls13Settings(const Napi::Value& value, const ContextOptions& context) {
  Fields given(value, "DTLS 1.3 options");
  const bool forward_secret = given.flag("pskDheKe");
  const bool plain = given.flag("pskKe");
  const auto groups = given.list("groups");
  const auto interval = static_cast<Milliseconds>(given.integer("keyUpdateInterval", 0));
  if (!given.complete()) return nullptr;
  auto settings = std::make_shared<dtls13::Settings>();
  settings->modes =
      static_cast<uint8_t>((forward_secret ? dtls13::kPskDheKe : 0) | (plain ? dtls13::kPskKe : 0));
  settings->psk = context.psk;
  settings->alpn = context.alpn;
  settings->key_update_interval = interval;
  std::vector<std::string> names;
  names.reserve(groups.size());
  for (const Napi::Value& group : groups) names.push_back(bytesOf(group));
  if (auto failure = settings->nameSuites(context.ciphers)) return *std::move(failure);
  if (auto failure = settings->nameGroups(names)) return *std::move(failure);
  return std::shared_ptr<const dtls13::Settings>(std::move(settings));
}

}  // namespace mcbn
