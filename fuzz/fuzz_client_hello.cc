// A datagram of a stranger: records, hello, cookie, answer.
#include <cstdlib>

#include "record/hello_verify_request.h"

using namespace mcbn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool within(ByteView part, ByteView whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Cookies cookies(Bytes(32, 7));
  static const Bytes address = {4, 127, 0, 0, 1, 0x1F, 0x91};
  const ByteView datagram(data, size);

  ByteView rest = datagram;
  size_t total = 0;
  while (const auto record = nextRecord(rest)) {
    require(within(record->whole, datagram) && within(record->fragment, record->whole));
    total += record->whole.size();
    Reader fragments(record->fragment);
    while (const auto fragment = nextFragment(fragments)) {
      require(within(fragment->body, record->fragment));
      require(fragment->offset + fragment->body.size() <= fragment->length);
    }
  }
  require(total <= size);

  const auto hello = parseClientHello(datagram);
  if (!hello) return 0;
  require(within(hello->random, datagram) && within(hello->sessionId, datagram));
  require(within(hello->cookie, datagram) && hello->random.size() == 32);
  constexpr uint64_t kNow = 1'800'000'000;
  const Cookie cookie = cookies.make(address, *hello, kNow);
  require(cookies.verify(address, *hello, kNow, cookie));
  // Nobody who lacks the secret echoes a right cookie; one that equals ours is the seed's.
  if (cookies.verify(address, *hello, kNow, hello->cookie)) require(hello->cookie.size() == 32);
  require(helloVerifyRequest(*hello, cookie).size() <= size);
  return 0;
}
