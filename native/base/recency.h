// recency.h: things in the order in which they were last used. Everything is O(1), nothing is
// allocated.
//
// Ownership   none: an Item carries the links `older` and `newer`, null at first, and is erased
//             here before it ends.
#pragma once

#include "base/assert.h"

namespace mcbn {

template <typename Item>
class RecencyList {
 public:
  bool contains(const Item& item) const { return item.newer || newest_ == &item; }

  // Makes it the newest, whether it was here or not.
  void touch(Item& item) {
    if (newest_ == &item) return;
    erase(item);
    item.older = newest_;
    (newest_ ? newest_->newer : oldest_) = &item;
    newest_ = &item;
  }

  void erase(Item& item) {
    if (!contains(item)) return;
    (item.older ? item.older->newer : oldest_) = item.newer;
    (item.newer ? item.newer->older : newest_) = item.older;
    item.older = item.newer = nullptr;
  }

  bool empty() const { return !oldest_; }
  Item* oldest() const { return oldest_; }

 private:
  Item* oldest_ = nullptr;
  Item* newest_ = nullptr;
};

}  // namespace mcbn
