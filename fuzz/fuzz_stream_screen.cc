// A TLS stream in front of OpenSSL: cut anywhere it gives the same result.
#include <algorithm>
#include <cstdlib>

#include "record/dtls_record.h"
#include "record/stream_screen.h"

using namespace mcbn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Stream {
  Stream(StreamScreen::Role role, bool hold) : screen(role, hold) {}

  void receive(ByteView bytes) {
    buffered.insert(buffered.end(), bytes.begin(), bytes.end());
    const size_t count = screen.pass(buffered);
    require(count <= buffered.size());
    passed += count;
    buffered.erase(buffered.begin(), buffered.begin() + count);
  }

  StreamScreen screen;
  Bytes buffered;
  size_t passed = 0;
};

}  // namespace

// Input: one byte of choices (bit 0: client; bit 1: hold; bits 2 to 7: size of the cuts), then the
// stream.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto role = data[0] & 1 ? StreamScreen::Role::Client : StreamScreen::Role::Server;
  const bool hold = data[0] & 2;
  const size_t cut = (data[0] >> 2) + 1;
  const ByteView input(data + 1, size - 1);

  Stream whole(role, hold), parts(role, hold);
  whole.receive(input);
  for (size_t at = 0; at < input.size(); at += cut) {
    parts.receive(input.subspan(at, std::min(cut, input.size() - at)));
    const auto state = parts.screen.state();
    require(state != StreamScreen::State::Transparent || parts.buffered.empty());
    if (state == StreamScreen::State::Screening) {
      require(parts.buffered.size() < kTlsRecordHeaderBytes + kMaxRecordFragmentBytes);
    }
  }
  // Whole, a header may be refused before its first byte came alone; the state is the same.
  require(whole.screen.state() == parts.screen.state());
  require(whole.screen.refusal() == parts.screen.refusal());
  require(whole.passed == parts.passed);
  require(hold || !whole.screen.holding());
  require((whole.screen.refusal() == StreamScreen::Refusal::None) ==
          (whole.screen.state() != StreamScreen::State::Refused));
  if (whole.screen.holding()) {
    require(whole.screen.identity().has_value() || whole.screen.hint().has_value());
    const size_t passed = whole.passed;
    whole.screen.release();
    whole.receive({});
    require(whole.buffered.empty() && whole.passed == input.size() && passed < input.size());
  }
  return 0;
}
