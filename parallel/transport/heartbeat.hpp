// Small messages between the watchdogs of the ranks, beside MPI and without waiting: UDP, over the loopback
// device within a host. One may be lost; the next says the same.
#pragma once
#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shardrift {

struct Beat {
  static constexpr std::size_t kText = 200;
  std::uint64_t run = 0;  // so that no other run's messages are taken for ours
  std::int32_t from = -1;
  std::int32_t to = -1;
  std::uint64_t done = 0;     // progress::State
  std::uint64_t promise = 0;  // CommonStop
  std::int32_t dead = -1;     // a rank that was seen to have died
  std::uint8_t on = 0;
  std::uint8_t stop = 0;     // a signal asked for a stop
  std::uint8_t hurry = 0;    // a second one
  std::uint8_t ending = 0;   // this rank ends the run, and has said why
  std::uint8_t leaving = 0;  // the last message: this rank ends in order, or has said why not
  char text[kText] = "an unknown place";
};

class Heartbeat {
 public:
  Heartbeat();  // opens the socket
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // Where this process is reached; of every rank, to meet(). `boot`: of which machine.
  std::string introduction(const std::string& boot) const;
  void meet(int me, const std::vector<std::string>& introductions);

  void send(Beat beat);  // to all other ranks
  std::optional<Beat> receive();
  int descriptor() const { return socket_; }
  // Becomes readable when that rank's process ends; -1 where that cannot be seen: on another machine.
  int process_of(int rank) const { return peers_[static_cast<std::size_t>(rank)].process; }
  void forget_process(int rank);

 private:
  struct Peer {
    std::vector<sockaddr_in> addresses;  // where it may be; one, once it was heard from
    int process = -1;
  };
  int socket_ = -1;
  std::uint16_t port_ = 0;
  std::uint64_t run_ = 0;
  int me_ = 0;
  std::vector<Peer> peers_;
};

}  // namespace shardrift
