// The fields that are read before OpenSSL asks for a key, and a message put together from
// fragments.
#include <algorithm>
#include <cstdlib>

#include "record/handshake_fragment.h"
#include "record/message_assembler.h"
#include "record/psk_messages.h"

using namespace mcbn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Whatever order fragments come in, a byte once taken stays, and complete means covered.
void assemble(ByteView input) {
  constexpr size_t kLimit = 300;
  MessageAssembler assembler(kLimit);
  Bytes covered;
  Reader reader(input);
  while (const auto fragment = nextFragment(reader)) {
    const Bytes before(assembler.body().begin(), assembler.body().end());
    const bool wasComplete = assembler.complete();
    const auto added = assembler.add(fragment->length, fragment->offset, fragment->body);
    require((added == MessageAssembler::Added::Refused) || fragment->length <= kLimit);
    if (added == MessageAssembler::Added::Refused) {
      require(assembler.complete() == wasComplete);
      continue;
    }
    if (covered.empty()) covered.resize(fragment->length);
    require(covered.size() == fragment->length);
    std::fill_n(covered.begin() + fragment->offset, fragment->body.size(), uint8_t{1});
    const bool all = std::all_of(covered.begin(), covered.end(), [](uint8_t one) { return one; });
    require(assembler.complete() == all);
    if (wasComplete) {
      require(std::equal(before.begin(), before.end(), assembler.body().begin(),
                         assembler.body().end()));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  std::vector<OfferedPsk> offers;
  constexpr size_t kMax = 5;
  if (parseOfferedPsks(input, offers, kMax)) {
    require(!offers.empty() && offers.size() <= kMax);
    for (const OfferedPsk& offer : offers) {
      require(!offer.identity.empty() && offer.identity.data() >= data);
      require(offer.identity.data() + offer.identity.size() <= data + size);
      require(offer.binderLength >= 32 && offer.binderLength <= 255);
    }
  } else {
    require(offers.empty());
  }
  if (const auto identity = pskIdentityOf(input)) require(identity->size() + 2 <= size);
  if (const auto hint = pskHintOf(input)) require(hint->size() <= 256);
  if (const auto name = hostNameOf(input)) require(!name->empty() && name->size() + 5 == size);
  offersVersion(input, 0x0304);
  assemble(input);
  return 0;
}
