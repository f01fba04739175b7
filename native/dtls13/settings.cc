#include "dtls13/settings.h"

#include <algorithm>

namespace mcbn::dtls13 {
namespace {

constexpr Group kGroups[] = {Group::X25519, Group::Secp256r1, Group::X25519MlKem768};

// The names of a list such as OpenSSL takes, without those of older versions.
std::vector<std::string_view> namesOf(std::string_view list) {
  std::vector<std::string_view> names;
  while (!list.empty()) {
    const size_t end = std::min(list.find_first_of(":, "), list.size());
    const std::string_view name = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    if (name.starts_with("TLS_")) names.push_back(name);
  }
  return names;
}

template <typename Item, typename Named>
void addOnce(std::vector<Item>& items, const Named& item) {
  if (std::ranges::find(items, item) == items.end()) items.push_back(item);
}

}  // namespace

std::optional<Failure> Settings::nameSuites(std::string_view ciphers) {
  const std::vector<std::string_view> names = namesOf(ciphers);
  if (names.empty()) return std::nullopt;
  suites.clear();
  for (const std::string_view name : names) {
    const auto* const found = std::ranges::find(kSuites, name, &Suite::name);
    if (found == std::end(kSuites)) {
      std::string known;
      for (const Suite* const suite : kSuites)
        known += std::string(known.empty() ? "" : ", ") + suite->name;
      return Failure{.code = "MCBN_CIPHERS_INVALID",
                     .message = "ciphers: expected suites of DTLS 1.3 among " + known + ", got \"" +
                                std::string(name) + "\""};
    }
    addOnce(suites, *found);
  }
  return std::nullopt;
}

std::optional<Failure> Settings::nameGroups(std::span<const std::string> names) {
  std::vector<Group> named;
  for (const std::string& name : names) {
    const auto* const found = std::ranges::find(kGroups, name, &nameOf);
    if (found != std::end(kGroups)) addOnce(named, *found);
  }
  if (!names.empty()) groups = std::move(named);
  std::erase_if(groups, [](Group group) { return !available(group); });
  if (!groups.empty() || !(modes & kPskDheKe)) return std::nullopt;
  return Failure{.code = "MCBN_OPTION_RANGE",
                 .message = "groups: the running OpenSSL has none of them; add X25519"};
}

}  // namespace mcbn::dtls13
