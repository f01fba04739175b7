// recording_sink.h: a SessionSink that keeps all it is told, and the keys and options of tests.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "session/dtls_options.h"
#include "session/session_sink.h"

namespace mcbn {

struct RecordingSink final : SessionSink {
  void datagram(ByteView bytes) override {
    sent.emplace_back(bytes.begin(), bytes.end());
    outgoing.push_back(sent.back());
  }
  uint8_t* reserveMessage(size_t capacity) override {
    scratch.resize(capacity);
    return scratch.data();
  }
  void lendDatagram(ByteView bytes) override { datagram(bytes); }
  void commitMessage(size_t length) override {
    messages.emplace_back(scratch.begin(), scratch.begin() + static_cast<ptrdiff_t>(length));
  }
  uint8_t* reserveDatagram(size_t capacity) override {
    packing.resize(capacity);
    return packing.data();
  }
  void commitDatagram(size_t length) override { datagram(ByteView(packing).first(length)); }
  void opened(const Opened& details, size_t max_message) override {
    opens.push_back(details);
    largest = max_message;
  }
  bool mayAsk() override { return may_ask; }
  void question(const PskQuestion& asked) override { questions.push_back(asked); }
  void ended(const std::optional<Failure>& failure) override { endings.push_back(failure); }
  void keylog(const std::string& line) override { lines.push_back(line); }
  void dropped(DropReason) override { drops += 1; }
  void retransmitted() override { retransmits += 1; }

  std::deque<Bytes> outgoing;
  std::vector<Bytes> sent;  // all that was ever in outgoing
  std::vector<Bytes> messages;
  std::vector<Opened> opens;
  std::vector<PskQuestion> questions;
  std::vector<std::optional<Failure>> endings;
  std::vector<std::string> lines;
  Bytes scratch, packing;
  size_t largest = 0;
  bool may_ask = true;
  unsigned drops = 0;
  unsigned retransmits = 0;
};

inline Secret testKey(uint8_t value = 0x42) { return Secret(Bytes(32, value)); }

inline PskAnswer answerWith(uint8_t key, const char* identity = "") {
  PskAnswer answer;
  answer.entry = PskEntry{testKey(key)};
  answer.identity = identity;
  return answer;
}

inline DtlsOptions dtlsOptions(size_t mtu, Milliseconds handshake_timeout,
                               Milliseconds retransmit_timeout) {
  DtlsOptions options;
  options.mtu = mtu;
  options.handshake_timeout = handshake_timeout;
  options.retransmit_timeout = retransmit_timeout;
  return options;
}

}  // namespace mcbn
