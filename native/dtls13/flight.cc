#include "dtls13/flight.h"

#include <algorithm>
#include <utility>

#include "record/dtls_record.h"
#include "record/handshake_fragment.h"

namespace mcbn::dtls13 {
namespace {

constexpr size_t kRecordNumberBytes = 16;
constexpr size_t kUsualDatagram = 512;  // bytes that a flight has room for from the start

void sendDatagram(Bytes& datagram, SessionStep& step) {
  if (datagram.empty()) return;
  step.countDatagram(datagram.size());
  step.sink.datagram(datagram);
  datagram.clear();
}

}  // namespace

void Flight::clear() { messages_.clear(); }

void Flight::post(uint64_t epoch, uint8_t type, Bytes body) {
  MCBN_ASSERT(mayPost());
  messages_.push_back({epoch, type, static_cast<uint16_t>(next_++), std::move(body), {}});
}

// RFC 9147 section 5.5: ranges that do not overlap.
void Flight::cut(Message& message, const Records& records) const {
  const size_t around = records.sealedSize(message.epoch, kDtlsHandshakeHeaderBytes);
  const size_t most = mtu_ > around ? mtu_ - around : 1;
  size_t offset = 0;
  do {
    const size_t length = std::min(most, message.body.size() - offset);
    message.pieces.push_back(
        {.offset = static_cast<uint32_t>(offset), .length = static_cast<uint32_t>(length)});
    offset += length;
  } while (offset < message.body.size());
}

bool Flight::allSpared() const {
  for (const Message& message : messages_) {
    for (const Piece& piece : message.pieces) {
      if (!piece.acknowledged && !piece.spared) return false;
    }
  }
  return true;
}

bool Flight::send(Records& records, SessionStep& step) {
  bool sent = false;
  Bytes datagram, content;
  for (Message& message : messages_) {
    if (message.pieces.empty()) cut(message, records);
  }
  const bool whole = allSpared();
  datagram.reserve(std::min(mtu_, kUsualDatagram));
  content.reserve(datagram.capacity());
  for (Message& message : messages_) {
    for (Piece& piece : message.pieces) {
      if (piece.acknowledged || (std::exchange(piece.spared, false) && !whole)) continue;
      content.clear();
      Writer(content)
          .u8(message.type)
          .u24(message.body.size())
          .u16(message.sequence)
          .u24(piece.offset)
          .u24(piece.length)
          .bytes(ByteView(message.body).subspan(piece.offset, piece.length));
      const size_t size = records.sealedSize(message.epoch, content.size());
      if (datagram.size() + size > mtu_) sendDatagram(datagram, step);
      const auto number = records.seal(message.epoch, content_type::kHandshake, content, datagram);
      if (!number) continue;
      if (piece.sendings.size() == kSendingsKept) piece.sendings.erase(piece.sendings.begin());
      piece.sendings.push_back(*number);
      sent = true;
    }
  }
  sendDatagram(datagram, step);
  return sent;
}

Flight::Heard Flight::acknowledge(ByteView ack, bool authentic) {
  Reader reader(ack);
  ByteView list;
  if (!reader.vector16(list) || !reader.empty() || list.size() % kRecordNumberBytes != 0) {
    return Heard::Malformed;
  }
  if (list.empty()) return messages_.empty() ? Heard::Nothing : Heard::Resend;
  // RFC 9147 section 7.2: a record that any ACK lists has arrived, in whatever order they are.
  bool news = false;
  for (Message& message : messages_) {
    for (Piece& piece : message.pieces) {
      if (piece.acknowledged) continue;
      RecordNumber number;
      for (Reader numbers(list); numbers.u64(number.epoch) && numbers.u64(number.sequence);) {
        if (std::ranges::find(piece.sendings, number) == piece.sendings.end()) continue;
        news = news || !piece.spared;
        (authentic ? piece.acknowledged : piece.spared) = true;
        break;
      }
    }
  }
  std::erase_if(messages_, [](const Message& message) {
    return !message.pieces.empty() && std::ranges::all_of(message.pieces, &Piece::acknowledged);
  });
  return news && !allSpared() ? Heard::Resend : Heard::Nothing;
}

bool Flight::waits(uint8_t type) const {
  return std::ranges::find(messages_, type, &Message::type) != messages_.end();
}

Bytes writeAck(std::vector<RecordNumber> numbers, size_t most) {
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  const size_t fit = most < 2 ? 0 : (most - 2) / kRecordNumberBytes;
  const size_t left_out = numbers.size() > fit ? numbers.size() - fit : 0;
  Bytes ack;
  Writer writer(ack);
  writer.u16((numbers.size() - left_out) * kRecordNumberBytes);
  for (const RecordNumber& number : std::span(numbers).subspan(left_out)) {
    writer.u64(number.epoch).u64(number.sequence);
  }
  return ack;
}

}  // namespace mcbn::dtls13
