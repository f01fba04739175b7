// few.h: up to so many things on the stack, each made when it is added.
//
// std::array makes all of them at once. Where there is room for a train and mostly one is there,
// that takes as long as encrypting a small record.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>

#include "base/assert.h"

namespace mcbn {

template <typename Item, size_t kMost>
class Few {
  static_assert(std::is_trivially_copyable_v<Item> && std::is_trivially_destructible_v<Item>);

 public:
  Few() {}  // NOLINT: nothing is there yet
  Few(const Few&) = delete;
  Few& operator=(const Few&) = delete;

  Item& add(const Item& item) {
    MCBN_ASSERT(!full());
    return *std::construct_at(&items_[count_++], item);
  }
  void clear() { count_ = 0; }

  size_t size() const { return count_; }
  bool full() const { return count_ == kMost; }
  Item& operator[](size_t index) {
    MCBN_ASSERT(index < count_);
    return items_[index];
  }
  std::span<Item> items() { return {items_, count_}; }

 private:
  size_t count_ = 0;
  union {
    Item items_[kMost];
  };
};

}  // namespace mcbn
