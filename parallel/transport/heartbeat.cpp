#include "parallel/transport/heartbeat.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

namespace shardrift {
namespace {

using nlohmann::json;

// Of every interface that is up, but for the loopback device.
std::vector<std::string> own_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET_ADDRSTRLEN] = {};
    const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr) addresses.emplace_back(text);
  }
  freeifaddrs(list);
  return addresses;
}

// Process numbers mean something among processes of one namespace alone.
std::string process_namespace() {
  char text[64] = {};
  const auto length = readlink("/proc/self/ns/pid", text, sizeof text - 1);
  return length > 0 ? std::string(text, static_cast<std::size_t>(length)) : std::string();
}

sockaddr_in address_of(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, text.c_str(), &address.sin_addr);
  return address;
}

}  // namespace

Heartbeat::Heartbeat() {
  socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof address;
  // Where there can be none, nobody hears this rank, and the run says so.
  if (socket_ < 0 || bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return;
  port_ = ntohs(address.sin_port);
}

Heartbeat::~Heartbeat() {
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) forget_process(static_cast<int>(rank));
  if (socket_ >= 0) close(socket_);
}

std::string Heartbeat::introduction(const std::string& boot) const {
  std::random_device random;
  const auto run = (std::uint64_t{random()} << 32U) | random();
  return json{{"port", port_},       {"addresses", own_addresses()},     {"boot", boot},
              {"process", getpid()}, {"namespace", process_namespace()}, {"run", run}}
      .dump();
}

void Heartbeat::meet(int me, const std::vector<std::string>& introductions) {
  me_ = me;
  const auto mine = json::parse(introductions[static_cast<std::size_t>(me)]);
  run_ = json::parse(introductions[0])["run"].get<std::uint64_t>();
  for (std::size_t rank = 0; rank < introductions.size(); ++rank) {
    const auto theirs = json::parse(introductions[rank]);
    const auto port = theirs["port"].get<std::uint16_t>();
    Peer peer;
    const bool same_machine = theirs["boot"] == mine["boot"];
    if (same_machine) peer.addresses.push_back(address_of("127.0.0.1", port));
    for (const auto& address : theirs["addresses"])
      peer.addresses.push_back(address_of(address.get<std::string>(), port));
    if (same_machine && theirs["namespace"] == mine["namespace"] && theirs["namespace"] != "" &&
        static_cast<int>(rank) != me)
      peer.process = static_cast<int>(syscall(SYS_pidfd_open, theirs["process"].get<pid_t>(), 0));
    peers_.push_back(std::move(peer));
  }
}

void Heartbeat::send(Beat beat) {
  beat.run = run_;
  beat.from = me_;
  for (std::size_t rank = 0; rank < peers_.size(); ++rank) {
    beat.to = static_cast<std::int32_t>(rank);
    if (beat.to == me_) continue;
    // Where it does not arrive, silence tells.
    for (const auto& address : peers_[rank].addresses)
      sendto(socket_, &beat, sizeof beat, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
}

std::optional<Beat> Heartbeat::receive() {
  while (true) {
    Beat beat;
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const auto got = recvfrom(socket_, &beat, sizeof beat, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < 0 && errno != EINTR && errno != ECONNREFUSED) return std::nullopt;
    if (got != sizeof beat || beat.run != run_ || beat.to != me_ || beat.from < 0 || beat.from == me_ ||
        beat.from >= static_cast<std::int32_t>(peers_.size()))
      continue;
    beat.text[Beat::kText - 1] = '\0';
    peers_[static_cast<std::size_t>(beat.from)].addresses = {from};
    return beat;
  }
}

void Heartbeat::forget_process(int rank) {
  auto& process = peers_[static_cast<std::size_t>(rank)].process;
  if (process >= 0) close(process);
  process = -1;
}

}  // namespace shardrift
