#include <doctest/doctest.h>

#include <array>

#include "engine/event.h"

namespace mcbn {
namespace {

constexpr std::array<uint8_t, 3> kText{'a', 'b', 'c'};

void addMessage(EventQueue& queue, uint32_t session, ByteView text) {
  uint8_t* const place = queue.reserveMessage(16'384);
  EventBatch& batch = queue.filling();
  const auto offset = static_cast<uint32_t>(batch.messages.size());
  std::copy(text.begin(), text.end(), place);
  batch.messages.commit(text.size());
  batch.rows.push_back(
      {EventKind::Message, 1, session, offset, static_cast<uint32_t>(text.size())});
}

}  // namespace

TEST_CASE("the sessions whose messages JavaScript has not taken are known, of one endpoint") {
  EventQueue queue([] {});
  CHECK(queue.unheard(1).empty());
  addMessage(queue, 1, kText);
  queue.filling().add(EventKind::Keylog, 1, 5, std::string("no message"));
  queue.publish();
  addMessage(queue, 2, kText);
  queue.filling().rows.back().endpoint = 2;
  addMessage(queue, 3, kText);
  // Of what was published, and of what was not.
  CHECK(queue.unheard(1) == std::unordered_set<uint32_t>{1, 3});
  CHECK(queue.unheard(2) == std::unordered_set<uint32_t>{2});
  (void)queue.takeAll();
  CHECK(queue.unheard(1) == std::unordered_set<uint32_t>{3});
  queue.publish();
  (void)queue.takeAll();
  CHECK(queue.unheard(1).empty());
}

TEST_CASE("batches that nobody takes join, and their rows still point at what they mean") {
  int wakes = 0;
  EventQueue queue([&] { wakes += 1; });
  addMessage(queue, 1, ByteView(kText).first(1));
  queue.filling().add(EventKind::Keylog, 1, 1, std::string("first"));
  queue.publish();
  addMessage(queue, 2, ByteView(kText).subspan(1, 2));
  queue.filling().add(EventKind::Keylog, 1, 2, std::string("second"));
  queue.filling().rows.push_back({EventKind::Progress, 0, 0, 77, 0});
  queue.publish();
  queue.publish();  // nothing to say

  auto batches = queue.takeAll();
  CHECK(wakes == 1);
  REQUIRE(batches.size() == 1);
  const EventBatch& batch = batches.front();
  REQUIRE(batch.rows.size() == 5);
  const EventRow& message = batch.rows[2];
  CHECK(message.session == 2);
  const ByteView text = batch.messages.view(message.a, message.b);
  CHECK(text.size() == 2);
  CHECK(text[0] == 'b');
  CHECK(std::get<std::string>(batch.details[batch.rows[1].a]) == "first");
  CHECK(std::get<std::string>(batch.details[batch.rows[3].a]) == "second");
  CHECK(batch.rows[4].a == 77);
  CHECK(queue.takeAll().empty());
  addMessage(queue, 3, kText);
  queue.publish();
  CHECK(wakes == 2);
}

TEST_CASE("one-byte messages fill the queue by what they cost, in few slabs") {
  EventQueue queue([] {});
  size_t messages = 0;
  while (!queue.full() && messages < 10'000'000) {
    addMessage(queue, 1, ByteView(kText).first(1));
    queue.publish();
    messages += 1;
  }
  // A row of 20 bytes and one byte each.
  CHECK(messages <= EventQueue::kMaxWaitingBytes / 21 + 1);
  const auto batches = queue.takeAll();
  CHECK(batches.size() <= EventQueue::kMaxWaitingBytes / kSlabBytes * 2);
  CHECK_FALSE(queue.full());
}

TEST_CASE(
    "what strangers' handshakes come to fills a small part, and takes no room from messages") {
  EventQueue queue([] {});
  size_t refusals = 0;
  while (!queue.refusalsFull() && refusals < 1'000'000) {
    queue.filling().add(EventKind::Refused, 1, 1, EndedEvent{.remote_host = "192.0.2.1"});
    queue.publish();
    refusals += 1;
  }
  CHECK(refusals <= EventQueue::kMaxRefusalBytes / EventBatch::kDetailWeight + 1);
  CHECK_FALSE(queue.full());
  addMessage(queue, 1, kText);
  queue.publish();
  size_t told = 0;
  for (const EventBatch& batch : queue.takeAll()) told += batch.rows.size();
  CHECK(told == refusals + 1);
  CHECK_FALSE(queue.refusalsFull());
}

}  // namespace mcbn
