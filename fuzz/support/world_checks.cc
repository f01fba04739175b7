// What must hold in a World, whatever the input.
#include <algorithm>

#include "world.h"
#include "world_limits.h"

namespace mcbn {

void World::takeEvents() {
  events_.publish();
  for (EventBatch& batch : events_.takeAll()) {
    for (const EventRow& row : batch.rows) takeRow(batch, row);
    events_.recycle(std::move(batch));
  }
}

void World::takeRow(const EventBatch& batch, const EventRow& row) {
  const bool servers = row.endpoint == kServer;
  Client* const client = servers ? nullptr : &clients_.at(row.endpoint - kFirstClient);
  if (row.kind != EventKind::Message && row.kind != EventKind::Progress && row.a != kNoDetail) {
    REQUIRE_THAT(row.a < batch.details.size());
  }
  switch (row.kind) {
    case EventKind::Message: {
      const ByteView text = batch.messages.view(row.a, row.b);
      REQUIRE_THAT(sent_.contains(Bytes(text.begin(), text.end())));
      REQUIRE_THAT(text[0] == (servers ? 'c' : 's'));
      if (servers) REQUIRE_THAT(sessions_.contains(row.session));
      break;
    }
    case EventKind::Opened: {
      const auto& opened = std::get<OpenedEvent>(batch.details[row.a]);
      REQUIRE_THAT(opened.opened.identity == "Client1");
      const bool newer = opened.opened.protocol == Protocol::Dtls13;
      REQUIRE_THAT(newer ? newer_ : opened.opened.protocol == Protocol::Dtls12);
      if (servers) {
        REQUIRE_THAT(sessions_.insert(row.session).second);
        opened_by_server_ += 1;
      } else {
        // In DTLS 1.3 the client knows first.
        REQUIRE_THAT(!client->opened && !client->ended && client->has_key);
        // Nobody has a client of both versions speak the older one with a server of both.
        REQUIRE_THAT(newer || !newer_ || (row.endpoint - kFirstClient) % 2 == 1);
        REQUIRE_THAT(powers_.server && (newer || opened_by_server_ > 0));
        client->opened = true;
      }
      break;
    }
    case EventKind::Question: {
      const auto& [question, host, port, lookup] = std::get<QuestionEvent>(batch.details[row.a]);
      if (servers) {
        REQUIRE_THAT(asks_ && question.identity);
        REQUIRE_THAT(lookup != 0 && asked_.size() < kMostHandshakes);
        asked_.push_back({row.session, question, lookup});
      } else {
        client->question = question;
      }
      break;
    }
    case EventKind::Ended:
      if (servers) {
        REQUIRE_THAT(sessions_.erase(row.session) == 1);
      } else {
        REQUIRE_THAT(!client->ended);
        client->ended = true;
      }
      break;
    case EventKind::Refused:
      if (servers) REQUIRE_THAT(!sessions_.contains(row.session));
      if (client) client->ended = true;
      break;
    default:
      break;
  }
}

void World::check() const {
  for (const Client& client : clients_) {
    const EndpointStats& figures = client.endpoint->stats();
    REQUIRE_THAT(figures.sessions == (client.ended ? 0 : 1));
    REQUIRE_THAT(figures.handshakes_completed == (client.opened ? 1 : 0));
  }
  if (!server_) return;
  const EndpointStats& stats = server_->stats();
  REQUIRE_THAT(stats.sessions >= sessions_.size());
  // A restart may have two: the open session and the newcomer.
  REQUIRE_THAT(stats.sessions <= kMostSessions + kMostHandshakes);
  REQUIRE_THAT(stats.handshakes_completed <= stats.handshakes_started);
}

void World::carryAll() {
  // A client of DTLS 1.3 asks for its key before it sends anything.
  const auto asked = [](const Client& client) { return client.question.has_value(); };
  // Bounded: every flight answers one.
  for (size_t count = 0; count < 2'000; ++count) {
    if (memory::net().sent.empty() && std::ranges::none_of(clients_, asked)) return;
    carry(0, false);
    takeEvents();
    while (!asked_.empty()) answer(8 | 1);
    answer(1);
    takeEvents();
  }
}

// The network is honest again. What was begun comes to an end, and a newcomer is served.
void World::settle() {
  memory::net().refusals = 0;
  if (server_) server_->flush();
  carryAll();
  for (unsigned round = 0; round < 40; ++round) {
    pass(1'000);
    carryAll();
  }
  for (Client& client : clients_) REQUIRE_THAT(client.opened || client.ended);
  if (!server_) return;
  pass(120'000);  // what is idle has gone
  carryAll();
  REQUIRE_THAT(server_->stats().sessions == 0);
  REQUIRE_THAT(sessions_.empty());
  clients_.resize(std::min(clients_.size(), kMostClients - 1));
  addClient(true);
  carryAll();
  for (unsigned round = 0; round < 8 && !clients_.back().opened; ++round) {
    pass(1'000);
    carryAll();
  }
  REQUIRE_THAT(clients_.back().opened);
}

}  // namespace mcbn
