#include "engine/send_queue.h"

#include <doctest/doctest.h>

#include "engine/slab_pool.h"

namespace mcbn {
namespace {

constexpr uint32_t kFull = 1, kFree = 2;

std::vector<uint32_t> told(SendQueue& queue, uint32_t number) {
  std::vector<uint32_t> endpoints;
  queue.sent(number, [&](uint32_t endpoint) { endpoints.push_back(endpoint); });
  return endpoints;
}

}  // namespace

TEST_CASE("send queue: submissions come out as they went in, lent bytes without a copy") {
  SendQueue queue;
  Bytes frame{1, 2, 3};
  CHECK(queue.empty());
  CHECK(queue.add(MutableBytes(frame)) == 1);
  CHECK(queue.number() == 2);
  CHECK(queue.add(Bytes{4, 5}) == 3);
  CHECK(!queue.empty());
  auto taken = queue.take();
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].number == 1);
  CHECK(taken[0].bytes().data() == frame.data());
  CHECK(taken[1].number == 3);
  CHECK(taken[1].bytes().size() == 2);
  CHECK(queue.empty());
}

TEST_CASE("send queue: a full socket keeps only its own messages waiting") {
  SendQueue queue;
  told(queue, 4);
  queue.behind(kFull, 4);
  queue.hold(kFull, 5, Bytes{1, 1, 1});
  queue.hold(kFull, 5, Bytes{2, 2, 2, 2});
  queue.hold(kFull, 7, Bytes{3});
  told(queue, 7);
  CHECK(queue.progress(kFull) == 4);
  CHECK(queue.progress(kFree) == 7);
  CHECK(queue.holds(kFull));
  CHECK(!queue.holds(kFree));

  auto first = queue.takeHeld(kFull);
  REQUIRE(first);
  CHECK(first->number == 5);
  // Rows begin at multiples of four.
  CHECK(Bytes(first->bytes().begin(), first->bytes().end()) == Bytes{1, 1, 1, 0, 2, 2, 2, 2});
  queue.behind(kFull, 5);
  CHECK(queue.progress(kFull) == 5);
  CHECK(queue.takeHeld(kFull)->number == 7);
  CHECK(!queue.takeHeld(kFull));
  queue.forget(kFull);
  CHECK(queue.progress(kFull) == 7);
}

TEST_CASE("send queue: each waiter is told once, and not before its own endpoint got there") {
  SendQueue queue;
  queue.notifyAt(kFull, 3);
  queue.notifyAt(kFree, 3);
  CHECK(told(queue, 2).empty());
  queue.behind(kFull, 2);
  CHECK(told(queue, 3) == std::vector<uint32_t>{kFree});
  CHECK(told(queue, 9).empty());
  queue.forget(kFull);
  CHECK(told(queue, 9) == std::vector<uint32_t>{kFull});
  CHECK(told(queue, 10).empty());
}

TEST_CASE("send queue: a socket that fills up after billions of submissions, or as numbers wrap") {
  SendQueue queue;
  for (const uint32_t sent : {0x9000'0000u, UINT32_MAX}) {
    told(queue, sent);
    const uint32_t next = sent == UINT32_MAX ? 1 : sent + 1;
    queue.behind(kFull, std::nullopt);
    queue.hold(kFull, next, Bytes{1});
    queue.notifyAt(kFull, next);
    CHECK(told(queue, next).empty());
    CHECK(queue.progress(kFull) == sent);
    CHECK(queue.takeHeld(kFull)->number == next);
    queue.behind(kFull, std::nullopt);
    CHECK(queue.progress(kFull) == sent);
    queue.forget(kFull);
    CHECK(told(queue, next) == std::vector<uint32_t>{kFull});

    queue.hold(kFull, next + 1, Bytes{1});  // its socket was full of other things
    CHECK(queue.progress(kFull) == next);
    queue.forget(kFull);
  }
}

TEST_CASE("slab pool: slabs go round while messages flow") {
  SlabPool pool;
  Slab first = pool.take();
  const uint8_t* const where = first.get();
  pool.give(std::move(first));
  CHECK(pool.free() == 1);
  CHECK(pool.trim());
  CHECK(pool.take().get() == where);
  CHECK(pool.free() == 0);
}

TEST_CASE("slab pool: no more is kept than is worth it") {
  SlabPool pool;
  std::vector<Slab> slabs;
  for (size_t i = 0; i < SlabPool::kMost + 10; ++i) slabs.push_back(pool.take());
  for (Slab& slab : slabs) pool.give(std::move(slab));
  CHECK(pool.free() == SlabPool::kMost);
}

}  // namespace mcbn
